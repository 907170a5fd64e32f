/** FedAvg of LoRA factors: the common promises, the mean itself, and what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { fedAvg } from "../../../src/strategies/aggregation/fed-avg.ts";
import { moduleNamed, prune, randomAdapter, randomUpdate } from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";

aggregatorSuite(fedAvg);

const options = { rank: 2, scale: 2 };

test("fed-avg takes the mean of A and of B, each weighted by samples", () => {
  const rng = Rng.fromSeed("mean");
  const x = { ...randomUpdate(rng, "a", 2), numSamples: 1 };
  const y = { ...randomUpdate(rng, "b", 2), numSamples: 3 };
  const { state } = fedAvg.aggregate([x, y], options);
  const name = "layers.0.down";
  for (const factor of ["a", "b"] as const) {
    const [p, q] = [moduleNamed(x, name)[factor].data, moduleNamed(y, name)[factor].data];
    const expected = p.map((value, i) => 0.25 * value + 0.75 * (q[i] as number));
    assert.deepEqual(moduleNamed(state, name)[factor].data, expected);
  }
});

test("fed-avg averages a row over its owners, and keeps the row that nobody has", () => {
  const rng = Rng.fromSeed("owners");
  const [x, y] = [randomUpdate(rng, "a", 2), randomUpdate(rng, "b", 2)];
  const previous = randomAdapter(rng, 2);
  const cut = (update: typeof x, indices: number[]) => ({
    ...update,
    numSamples: 10,
    modules: update.modules.map((module) => prune(module, "rows", indices)),
  });
  const updates = [cut(x, [0, 2]), cut(y, [2, 3])];
  const { state } = fedAvg.aggregate(updates, { ...options, previous });
  const row = (s: typeof previous, i: number) =>
    moduleNamed(s, "layers.0.query").b.data.subarray(2 * i, 2 * i + 2);
  assert.deepEqual(row(state, 0), row(x, 0));
  assert.deepEqual(row(state, 1), row(previous, 1));
  assert.deepEqual(
    row(state, 2),
    row(x, 2).map((value, r) => 0.5 * value + 0.5 * (row(y, 2)[r] as number)),
  );
  assert.deepEqual(row(state, 3), row(y, 3));
});

test("fed-avg refuses unequal ranks and other scales, and says what to use", () => {
  const rng = Rng.fromSeed("refuse");
  const good = randomUpdate(rng, "a", 2);
  for (const update of [
    randomUpdate(rng, "b", 1),
    randomUpdate(rng, "b", 3),
    randomUpdate(rng, "b", 2, 4),
  ]) {
    assert.match(fedAvg.defectIn?.(update, options)?.text ?? "", /not rank 2 and scale 2/);
    assert.throws(() => fedAvg.aggregate([good, update], options), /update of b.*\n.*lora-stack/);
  }
  assert.equal(fedAvg.defectIn?.(good, options), null);
  const previous = randomAdapter(rng, 3);
  assert.throws(
    () => fedAvg.aggregate([good], { ...options, previous }),
    /before the round does not fit/,
  );
});
