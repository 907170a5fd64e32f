/** A device that has too little memory: it recomputes, then refuses, and says what it has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryError } from "../../../src/base/errors.ts";
import { fullStructure } from "../../../src/base/structure.ts";
import { trainingMemory } from "../../../src/cost/memory.ts";
import { fitPlan } from "../../../src/device/training/memory-fit.ts";
import { readModelShape } from "../../../src/models/shape.ts";
import { LABELS, PLAN, round, tinyBase, tinyDevice } from "../../support/tiny-device.ts";

test("a plan that fits runs as it is, one that nearly fits recomputes, and one that does not is refused", (t) => {
  const shape = readModelShape(tinyBase(t), LABELS);
  const setup = {
    ...{ structure: fullStructure(shape.units), rank: 2, targets: "all-linear" as const },
    ...{ batchSize: 16, numTokens: 16, trainHead: true, dropout: 0, scoresUnits: false },
  };
  const [otherBytes, source] = [60e6, "the free memory of the machine"];
  const peak = (recompute: boolean): number => trainingMemory(shape, { ...setup, recompute }).peak;
  const overhead = 7e6;
  const fit = (bytes: number, recompute = false): boolean =>
    fitPlan({ shape, setup: { ...setup, recompute }, budget: { bytes, source }, otherBytes });
  assert.ok(peak(true) < 0.9 * peak(false));
  assert.equal(fit(otherBytes + overhead + peak(false)), false);
  assert.equal(fit(otherBytes + overhead + peak(false), true), true);
  // What stands between the two forecasts is the difference of the peaks.
  let least = otherBytes;
  while (!fits(least)) least += 10_000;
  assert.equal(fit(least), true);
  assert.throws(
    () => fit(least - 20_000),
    (error) => {
      assert.ok(error instanceof MemoryError);
      assert.match(error.message, /does not fit .* at most 6\d MB .*free memory.* 16 x 16 tokens/);
      assert.ok(error.tensorBytes < peak(true) && error.tensorBytes > 0.9 * peak(true));
      return true;
    },
  );

  function fits(bytes: number): boolean {
    try {
      fit(bytes);
      return true;
    } catch {
      return false;
    }
  }
});

test("a device refuses before it loads anything, and takes the plan once there is room", async (t) => {
  let bytes = 1e6;
  const folder = tinyBase(t);
  const device = await tinyDevice(folder, { budget: () => ({ bytes, source: "the test" }) });
  await assert.rejects(round(device, PLAN), MemoryError);
  bytes = 1e9;
  const free = await round(device, PLAN);
  const unbounded = await round(await tinyDevice(folder), PLAN);
  assert.deepEqual(free.losses, unbounded.losses);
});

test("a plan that asks for recomputation takes less memory and ends in the same update", async (t) => {
  const folder = tinyBase(t);
  const [kept, again] = [
    await round(await tinyDevice(folder), { ...PLAN, dropout: 0.1 }),
    await round(await tinyDevice(folder), { ...PLAN, dropout: 0.1, recompute: true }),
  ];
  assert.deepEqual(again.update, kept.update);
  assert.ok(again.report.peakBytes < kept.report.peakBytes);
});
