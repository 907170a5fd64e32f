/** Held-out examples and what their loss decides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { freshGuard, mayPrune, splitHeldOut } from "../../../src/device/training/guard.ts";

const numbered = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test("a tenth is held out, within 4 and 64, and none where that is more than a fifth", () => {
  const held = (count: number): number => splitHeldOut(numbered(count), "device").heldOut.length;
  assert.deepEqual([0, 19, 20, 40, 100, 639, 640, 5000].map(held), [0, 0, 4, 4, 10, 64, 64, 64]);
});

test("each example is on one side, in order, and the device alone decides on which", () => {
  fc.assert(
    fc.property(fc.nat(300), fc.string(), (count, device) => {
      const { training, heldOut } = splitHeldOut(numbered(count), device);
      const all = [...training, ...heldOut].sort((a, b) => a - b);
      assert.deepEqual(all, numbered(count));
      for (const side of [training, heldOut]) {
        assert.deepEqual(
          [...side],
          [...side].sort((a, b) => a - b),
        );
      }
      assert.deepEqual(splitHeldOut(numbered(count), device).heldOut, heldOut);
    }),
  );
  const of = (device: string) => splitHeldOut(numbered(200), device).heldOut;
  assert.notDeepEqual(of("device-1"), of("device-2"));
});

test("pruning waits while the loss is more than the share above that before the last pruning", () => {
  const before = { lossBeforePruning: 2, hasSkipped: false };
  assert.ok(mayPrune(before, 2.1, 0.05));
  assert.ok(!mayPrune(before, 2.11, 0.05));
  assert.ok(!mayPrune(before, NaN, 0.05));
  assert.ok(mayPrune({ ...before, hasSkipped: true }, 9, 0.05), "not twice in a row");
});

test("without a guard, held-out examples or an earlier pruning there is nothing to wait for", () => {
  const before = { lossBeforePruning: 2, hasSkipped: false };
  assert.ok(mayPrune(before, 9, null));
  assert.ok(mayPrune(before, null, 0.05));
  assert.ok(mayPrune(freshGuard, 9, 0.05));
});
