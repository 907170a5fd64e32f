/** Blob stores over one pool: each its own view, every content once. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { TransportError } from "../../src/base/errors.ts";
import { BlobPool } from "../../src/simulation/shared-blobs.ts";

const BYTES = Uint8Array.from({ length: 150_000 }, (_, i) => i % 251);

async function pull(
  from: ReturnType<BlobPool["store"]>,
  to: ReturnType<BlobPool["store"]>,
  root: string,
  leaves: number[],
): Promise<void> {
  const manifest = await from.manifest(root);
  assert.ok(manifest !== undefined);
  const partial = await to.open(manifest);
  for (const leaf of leaves) await partial.writeLeaf(leaf, new Uint8Array(0));
  try {
    await partial.commit();
  } finally {
    await partial.close();
  }
}

test("a store sees its own blobs only, and a pulled one is whole without its bytes being copied", async () => {
  const pool = new BlobPool();
  const [a, b] = [pool.store(), pool.store()];
  const { root } = await a.put(BYTES);
  assert.equal(await b.has(root), false);
  assert.equal(await b.read(root, 0, 1), undefined);
  await assert.rejects(b.readAll(root), TransportError);
  await pull(a, b, root, [0, 1, 2]);
  assert.deepEqual(await b.readAll(root), BYTES);
  assert.deepEqual(await b.list(), [root]);
});

test("a pull goes on with the leaves of an earlier attempt and ends only with all of them", async () => {
  const pool = new BlobPool();
  const [a, b] = [pool.store(), pool.store()];
  const { root } = await a.put(BYTES);
  await assert.rejects(pull(a, b, root, [0, 2]), /before all leaves/);
  assert.equal(await b.has(root), false);
  await pull(a, b, root, [1]);
  assert.equal(await b.has(root), true);
});

test("contents stay while one store holds or receives them and go with the last", async () => {
  const pool = new BlobPool();
  const [a, b] = [pool.store(), pool.store()];
  const { root } = await a.put(BYTES);
  const manifest = await a.manifest(root);
  assert.ok(manifest !== undefined);
  const partial = await b.open(manifest);
  await a.remove(root);
  for (const leaf of [0, 1, 2]) await partial.writeLeaf(leaf, new Uint8Array(0));
  await partial.commit();
  assert.deepEqual(await b.readAll(root), BYTES);
  await b.remove(root);
  assert.equal(pool.find(root), undefined);
  await assert.rejects(a.open(manifest), TransportError);
});
