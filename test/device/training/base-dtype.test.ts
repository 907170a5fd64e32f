/** A device whose base is held in few bits: it learns and shrinks, and does not fold adapters into it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShapeError } from "../../../src/base/errors.ts";
import { encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { PRUNING, round, someModules, tinyBase, tinyDevice } from "../../support/tiny-device.ts";

for (const baseDtype of ["f16", "int8", "int4"] as const) {
  test(`a device with its base in ${baseDtype} learns while it is pruned by magnitude`, async (t) => {
    const device = await tinyDevice(tinyBase(t), { baseDtype });
    const pruning = { ...PRUNING, score: "magnitude", sparsity: 0.3 } as const;
    const { report } = await round(device, { steps: 30, pruning });
    assert.ok(report.lossLast < 0.8 * report.lossFirst, `${report.lossFirst}, ${report.lossLast}`);
    assert.ok(report.sparsity > 0.25);
  });
}

test("what would be folded into a base in int8 is refused, and the next round is none the worse", async (t) => {
  const folder = tinyBase(t);
  const device = await tinyDevice(folder, { baseDtype: "int8" });
  const adapter = encodeAdapterFile({ modules: someModules(folder, () => 2), heads: new Map() });
  await assert.rejects(
    round(device, { start: "merge" }, adapter),
    (error) => error instanceof ShapeError && /load the base in f32/.test(error.message),
  );
  const { report } = await round(device, {});
  assert.ok(Number.isFinite(report.lossLast));
});
