/** Leaves that a device has in another blob are not fetched again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LEAF_BYTES, manifestBytesOf } from "../../src/protocol/manifest.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { noise, settle, transferPair } from "../support/transfer.ts";

const pull = { device: "gw", maxBytes: 2 ** 30 };

/** A blob whose leaves are chosen by number; the last one may be shorter. */
function blobOf(leaves: readonly number[], tailBytes: number): Uint8Array {
  const parts = leaves.map((seed) => noise(LEAF_BYTES, seed));
  return Buffer.concat([...parts, noise(tailBytes, 99)]);
}

test("of a new blob exactly the leaves are fetched that no other blob of the device has", async () => {
  const leaves = fc.array(fc.nat(5), { maxLength: 6 });
  const tail = fc.constantFrom(0, 1, 5000);
  await fc.assert(
    fc.asyncProperty(leaves, leaves, leaves, tail, tail, async (a, b, wanted, tailA, tailC) => {
      const deviceStore = new MemoryBlobStore();
      await deviceStore.put(blobOf(a, tailA));
      await deviceStore.put(blobOf(b, 0));
      const pair = await transferPair({ deviceStore });
      const content = blobOf(wanted, tailC);
      const blob = await pair.coordinatorStore.put(content);
      const wasThere = await deviceStore.has(blob.root);
      const report = await settle(pair.clock, pair.device.pull({ ...pull, blob }));
      assert.ok(Buffer.from(await deviceStore.readAll(blob.root)).equals(content));
      if (wasThere) {
        assert.equal(report.receivedBytes, 0);
        return;
      }
      const known = new Set([...a, ...b]);
      const strange = wanted.filter((leaf) => !known.has(leaf)).length;
      const tailBytes = tailA === tailC ? 0 : tailC;
      const fetchedBytes = strange * LEAF_BYTES + tailBytes;
      assert.equal(report.receivedBytes, fetchedBytes + manifestBytesOf(content.byteLength));
      assert.equal(report.resumedBytes, content.byteLength - fetchedBytes);
      assert.equal(report.wastedBytes, 0);
    }),
    { numRuns: 40 },
  );
});

test("a leaf of another blob that is damaged on the way is fetched", async () => {
  const deviceStore = new MemoryBlobStore();
  await deviceStore.put(blobOf([1, 2], 0));
  const read = deviceStore.read.bind(deviceStore);
  deviceStore.read = async (...where) => (await read(...where))?.fill(7);
  const pair = await transferPair({ deviceStore });
  const content = blobOf([1, 3], 0);
  const blob = await pair.coordinatorStore.put(content);
  const report = await settle(pair.clock, pair.device.pull({ ...pull, blob }));
  assert.equal(report.resumedBytes, 0);
  assert.ok(Buffer.from(await deviceStore.readAll(blob.root)).equals(content));
});
