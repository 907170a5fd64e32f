/** FedAvg of LoRA factors: the common promises, the mean itself, and what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { fedAvg } from "../../../src/strategies/aggregation/fed-avg.ts";
import { moduleNamed, randomUpdate } from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";

aggregatorSuite(fedAvg);

test("fed-avg takes the mean of A and of B, each weighted by samples", () => {
  const rng = Rng.fromSeed("mean");
  const x = { ...randomUpdate(rng, "a", 2), numSamples: 1 };
  const y = { ...randomUpdate(rng, "b", 2), numSamples: 3 };
  const { state } = fedAvg.aggregate([x, y], { rank: 2, scale: 2 });
  const name = "layers.0.down";
  for (const factor of ["a", "b"] as const) {
    const [p, q] = [moduleNamed(x, name)[factor].data, moduleNamed(y, name)[factor].data];
    const expected = p.map((value, i) => 0.25 * value + 0.75 * (q[i] as number));
    assert.deepEqual(moduleNamed(state, name)[factor].data, expected);
  }
});

test("fed-avg refuses unequal ranks, other scales and pruned layers, and says what to use", () => {
  const rng = Rng.fromSeed("refuse");
  const good = randomUpdate(rng, "a", 3);
  const options = { rank: 3, scale: 2 };
  const refused = [
    randomUpdate(rng, "b", 2),
    randomUpdate(rng, "b", 3, 4),
    {
      ...good,
      deviceId: "b",
      modules: good.modules.map((module) => ({
        ...module,
        rows: { indices: [...Array(module.b.shape[0]).keys()], of: 9 },
      })),
    },
  ];
  for (const [i, update] of refused.entries()) {
    const updates = i === 2 ? [update] : [good, update];
    assert.throws(() => fedAvg.aggregate(updates, options), /lora-stack/);
  }
});
