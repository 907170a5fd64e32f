/** Manifests: names depend on every byte, leaves are checked alone, damaged ones are refused. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  LEAF_BYTES,
  MAX_BLOB_BYTES,
  decodeManifest,
  isRoot,
  leafBytesOf,
  leafMatches,
  manifestBytesOf,
  manifestOf,
} from "../../src/protocol/manifest.ts";

function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 2_654_435_761 + seed * 97) >>> 13;
  return bytes;
}

test("a manifest decodes to itself and its leaves match only their own bytes", () => {
  for (const size of [0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES + 5]) {
    const bytes = bytesOf(size);
    const manifest = manifestOf(bytes);
    assert.ok(isRoot(manifest.root));
    assert.equal(manifest.encoded.byteLength, manifestBytesOf(size));
    assert.deepEqual(decodeManifest(manifest.encoded, manifest.root), {
      ok: true,
      value: manifest,
    });
    for (let i = 0; i < manifest.leafCount; i++) {
      const leaf = bytes.slice(i * LEAF_BYTES, (i + 1) * LEAF_BYTES);
      assert.equal(leaf.byteLength, leafBytesOf(size, i));
      assert.ok(leafMatches(manifest, i, leaf));
      assert.equal(leafMatches(manifest, i + 1, leaf), false);
      leaf[leaf.byteLength - 1] = (leaf[leaf.byteLength - 1] ?? 0) ^ 1;
      assert.equal(leafMatches(manifest, i, leaf), false);
    }
  }
});

test("the root is the SHA-256 of the documented layout", () => {
  const bytes = bytesOf(LEAF_BYTES + 10);
  const sha = (data: Uint8Array) => createHash("sha256").update(data).digest();
  const header = Buffer.from("FSM1\0\x01\0\x0a", "latin1");
  const leaves = [sha(bytes.subarray(0, LEAF_BYTES)), sha(bytes.subarray(LEAF_BYTES))];
  const expected = sha(Buffer.concat([header, ...leaves])).toString("hex");
  assert.equal(manifestOf(bytes).root, expected);
});

test("changing any byte of a blob changes its root", () => {
  const bytes = bytesOf(2 * LEAF_BYTES);
  const { root } = manifestOf(bytes);
  fc.assert(
    fc.property(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
      const changed = bytes.slice();
      changed[place] = (changed[place] ?? 0) ^ flip;
      assert.notEqual(manifestOf(changed).root, root);
    }),
    { numRuns: 20 },
  );
});

test("a damaged manifest is refused by its hash and a foreign one by its form", () => {
  const manifest = manifestOf(bytesOf(5000));
  fc.assert(
    fc.property(fc.nat(manifest.encoded.byteLength - 1), fc.nat(255), (place, value) => {
      const damaged = manifest.encoded.slice();
      if (damaged[place] === value) return;
      damaged[place] = value;
      const decoded = decodeManifest(damaged, manifest.root);
      assert.equal(decoded.ok ? "ok" : decoded.reason, "hash");
    }),
  );
  const own = (encoded: Uint8Array) =>
    decodeManifest(encoded, createHash("sha256").update(encoded).digest("hex"));
  const forged = (size: number, bytes: number): Uint8Array => {
    const encoded = new Uint8Array(bytes);
    encoded.set(manifest.encoded.subarray(0, 4));
    new DataView(encoded.buffer).setUint32(4, size);
    return encoded;
  };
  assert.equal(own(forged(0, 8)).ok, true);
  for (const encoded of [
    forged(1, 8),
    forged(0, 9),
    forged(MAX_BLOB_BYTES + 1, 40),
    forged(LEAF_BYTES + 1, 40),
    new Uint8Array(7),
    new Uint8Array(40),
  ]) {
    assert.equal(own(encoded).ok, false);
  }
});
