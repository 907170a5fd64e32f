/** Both stores by one set of rules, then what only a disk can do wrong. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { TransportError } from "../../src/base/errors.ts";
import { LEAF_BYTES, manifestOf } from "../../src/protocol/manifest.ts";
import type { BlobStore } from "../../src/transfer/blob-store.ts";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { noise } from "../support/transfer.ts";

const stores: [string, (t: TestContext) => Promise<BlobStore>][] = [
  ["memory", async () => new MemoryBlobStore()],
  ["disk", (t) => DiskBlobStore.at(temporaryFolder(t))],
];

for (const [name, create] of stores) {
  test(`${name}: what is put can be read whole and in ranges by its root`, async (t) => {
    const store = await create(t);
    const bytes = noise(2 * LEAF_BYTES + 9);
    const { root, sizeBytes } = await store.put(bytes);
    assert.equal(root, manifestOf(bytes).root);
    assert.equal(sizeBytes, bytes.byteLength);
    assert.deepEqual(await store.put(bytes), { root, sizeBytes });
    assert.ok(Buffer.from(await store.readAll(root)).equals(bytes));
    const range = await store.read(root, LEAF_BYTES - 3, 10);
    assert.deepEqual(range && [...range], [...bytes.subarray(LEAF_BYTES - 3, LEAF_BYTES + 7)]);
    assert.equal(await store.read(root, sizeBytes - 1, 2), undefined);
    assert.deepEqual((await store.manifest(root))?.root, root);
    assert.deepEqual(await store.list(), [root]);
    await store.remove(root);
    assert.equal(await store.has(root), false);
    assert.equal(await store.manifest(root), undefined);
  });

  test(`${name}: what is not there is absent, and no root is a path`, async (t) => {
    const store = await create(t);
    for (const root of ["f".repeat(64), "../blob", "", "__proto__"]) {
      assert.equal(await store.has(root), false);
      assert.equal(await store.read(root, 0, 1), undefined);
      assert.equal(await store.manifest(root), undefined);
      await assert.rejects(store.readAll(root), TransportError);
      await store.remove(root);
    }
  });

  test(`${name}: an incomplete blob is not there until it is committed with every leaf`, async (t) => {
    const store = await create(t);
    const bytes = noise(2 * LEAF_BYTES);
    const manifest = manifestOf(bytes);
    const partial = await store.open(manifest);
    await assert.rejects(store.open(manifest), TransportError);
    await partial.writeLeaf(1, bytes.subarray(LEAF_BYTES));
    await assert.rejects(partial.commit(), TransportError);
    assert.equal(await store.has(manifest.root), false);
    assert.equal(await store.read(manifest.root, 0, 1), undefined);
    assert.deepEqual(await store.list(), []);
    await partial.close();
    await partial.close();
    const resumed = await store.open(manifest);
    assert.deepEqual([resumed.hasLeaf(0), resumed.hasLeaf(1)], [false, true]);
    await resumed.writeLeaf(0, bytes.subarray(0, LEAF_BYTES));
    await resumed.commit();
    await resumed.close();
    assert.ok(Buffer.from(await store.readAll(manifest.root)).equals(bytes));
  });

  test(`${name}: a blob of no bytes is a blob`, async (t) => {
    const store = await create(t);
    const manifest = manifestOf(new Uint8Array(0));
    const partial = await store.open(manifest);
    await partial.commit();
    assert.equal((await store.readAll(manifest.root)).byteLength, 0);
  });
}

test("disk: a complete blob leaves two files, and a lying or torn bitmap does no harm", async (t) => {
  const folder = temporaryFolder(t);
  const bytes = noise(10 * LEAF_BYTES);
  const manifest = manifestOf(bytes);
  for (const bitmap of [new Uint8Array([0xff, 0xff]), new Uint8Array(1), new Uint8Array(5)]) {
    writeFileSync(join(folder, `${manifest.root}.leaves`), bitmap);
    const store = await DiskBlobStore.at(folder);
    const partial = await store.open(manifest);
    for (let i = 0; i < manifest.leafCount; i++) assert.equal(partial.hasLeaf(i), false);
    await partial.close();
  }
  const store = await DiskBlobStore.at(folder);
  const partial = await store.open(manifest);
  for (let i = 0; i < manifest.leafCount; i++) {
    await partial.writeLeaf(i, bytes.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES));
  }
  await partial.commit();
  assert.deepEqual(readdirSync(folder).sort(), [
    `${manifest.root}.blob`,
    `${manifest.root}.manifest`,
  ]);
  assert.ok(existsSync(store.pathOf(manifest.root)));
});

test("disk: leaves survive a process that dies without closing, but for the last few", async (t) => {
  const folder = temporaryFolder(t);
  const bytes = noise(70 * LEAF_BYTES);
  const manifest = manifestOf(bytes);
  const abandoned = await (await DiskBlobStore.at(folder)).open(manifest);
  for (let i = 0; i < 50; i++) {
    await abandoned.writeLeaf(i, bytes.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES));
  }
  const resumed = await (await DiskBlobStore.at(folder)).open(manifest);
  let kept = 0;
  for (let i = 0; i < manifest.leafCount; i++) if (resumed.hasLeaf(i)) kept += 1;
  assert.equal(kept, 32);
  await resumed.close();
  await abandoned.close();
});
