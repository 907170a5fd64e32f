/** R2SP: the common promises, and devices that are completed with what was. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import { fedAvg } from "../../../src/strategies/aggregation/fed-avg.ts";
import { r2sp } from "../../../src/strategies/aggregation/r2sp.ts";
import { moduleNamed, prune, randomAdapter, randomUpdate } from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";

aggregatorSuite(r2sp);

const options = { rank: 2, scale: 2 };

test("r2sp counts a pruned entry as it was before the round", () => {
  const rng = Rng.fromSeed("r2sp");
  const previous = randomAdapter(rng, 2);
  const [x, y] = [randomUpdate(rng, "a", 2), randomUpdate(rng, "b", 2)];
  const modules = x.modules.map((module) => prune(module, "cols", [0, 3]));
  const updates = [
    { ...x, modules, numSamples: 3 },
    { ...y, numSamples: 1 },
  ];
  const { state } = r2sp.aggregate(updates, { ...options, previous });
  const of = (s: AdapterState) => moduleNamed(s, "layers.0.query").a.data;
  of(state).forEach((value, i) => {
    const own = [0, 3].includes(i % 5) ? of(x)[i] : of(previous)[i];
    assert.equal(value, Math.fround(0.75 * (own ?? 0) + 0.25 * (of(y)[i] ?? 0)));
  });
});

test("r2sp of unpruned updates, and of a first round, is fed-avg", () => {
  const rng = Rng.fromSeed("first");
  const previous = randomAdapter(rng, 2);
  const updates = ["a", "b", "c"].map((id) => randomUpdate(rng, id, 2));
  const withStart = { ...options, previous };
  const first = updates.map((update) => ({
    ...update,
    modules: update.modules.map((module) => prune(module, "rows", [1, 2])),
  }));
  assert.deepEqual(r2sp.aggregate(first, options), fedAvg.aggregate(first, options));
  const [got, want] = [r2sp, fedAvg].map((rule) => rule.aggregate(updates, withStart).state);
  for (const { name, a, b } of want?.modules ?? []) {
    const other = moduleNamed(got as AdapterState, name);
    a.data.forEach((value, i) => assert.ok(Math.abs(value - (other.a.data[i] ?? NaN)) < 1e-6));
    b.data.forEach((value, i) => assert.ok(Math.abs(value - (other.b.data[i] ?? NaN)) < 1e-6));
  }
});
