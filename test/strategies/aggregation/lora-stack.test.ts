/** The stacked aggregation against the dense mean that it stands for, over random ranks, weights and pruned structures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import type { LoraModule } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import { loraStack } from "../../../src/strategies/aggregation/lora-stack.ts";
import {
  LAYERS,
  denseProduct,
  moduleNamed,
  prune,
  randomAdapter,
  randomIndices,
  randomUpdate,
  relativeDistance,
} from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";
import { denseOwnerMean, difference, squares } from "../../support/dense-mean.ts";

aggregatorSuite(loraStack);

/** float32 results of sums that are done in double precision. */
const CLOSE = 1e-6;
const FULL_RANK = 9;

test("without truncation the result is the dense owner-weighted mean, for any ranks, scales and pruned structures", () => {
  const scenario = fc.record({
    seed: fc.integer(),
    numDevices: fc.integer({ min: 1, max: 6 }),
    keep: fc.double({ min: 0.2, max: 1, noNaN: true }),
    pruneRows: fc.boolean(),
    hasPrevious: fc.boolean(),
  });
  fc.assert(
    fc.property(scenario, ({ seed, numDevices, keep, pruneRows, hasPrevious }) => {
      const rng = Rng.fromSeed(seed);
      const updates = Array.from({ length: numDevices }, (_, i) => {
        const update = randomUpdate(rng, `device-${i}`, 1 + rng.int(4), 0.5 + rng.next());
        return {
          ...update,
          modules: update.modules.map((module) => pruneSome(rng, module, pruneRows, keep)),
        };
      });
      const previous = hasPrevious ? randomAdapter(rng, 2) : undefined;
      const options = {
        rank: FULL_RANK,
        scale: 0.5,
        ...(previous === undefined ? {} : { previous }),
      };
      const { state, discardedEnergy } = loraStack.aggregate(updates, options);
      assert.ok(discardedEnergy < 1e-12);
      for (const { name } of LAYERS) {
        const start = previous === undefined ? undefined : moduleNamed(previous, name);
        const distance = relativeDistance(
          denseProduct(moduleNamed(state, name)),
          denseOwnerMean(updates, name, start),
        );
        assert.ok(distance < CLOSE, `${name} differs by ${distance}`);
      }
    }),
    { numRuns: 150 },
  );
});

test("the truncation is the best one: its error is the discarded energy that it reports", () => {
  const rng = Rng.fromSeed("truncate");
  const updates = ["a", "b", "c"].map((id) => randomUpdate(rng, id, 3));
  const { state, discardedEnergy } = loraStack.aggregate(updates, { rank: 2, scale: 2 });
  let lost = 0;
  let lostAtBest = 0;
  let total = 0;
  for (const { name } of LAYERS) {
    const mean = denseOwnerMean(updates, name);
    const got = denseProduct(moduleNamed(state, name));
    lost += squares(difference(mean, got));
    const values = new SingularValueDecomposition(new Matrix(mean), { autoTranspose: true })
      .diagonal;
    lostAtBest += values.slice(2).reduce((sum, value) => sum + value * value, 0);
    total += squares(mean);
  }
  assert.ok(lostAtBest / total > 0.01, "the case must lose something");
  assert.ok(Math.abs(lost / total - discardedEnergy) < 1e-6);
  assert.ok(Math.abs(lostAtBest / total - discardedEnergy) < 1e-9);
});

test("the way in which a device split its product into factors does not matter", () => {
  const rng = Rng.fromSeed("rotation");
  const update = randomUpdate(rng, "a", 2);
  // Both factors negated: the same product, but the mean of the factors would be zero.
  const rotated = {
    ...update,
    deviceId: "b",
    modules: update.modules.map((module) => ({
      ...module,
      a: { ...module.a, data: module.a.data.map((value) => -value) },
      b: { ...module.b, data: module.b.data.map((value) => -value) },
    })),
  };
  const { state } = loraStack.aggregate([update, rotated], { rank: 2, scale: 2 });
  for (const { name } of LAYERS) {
    assert.ok(
      relativeDistance(
        denseProduct(moduleNamed(state, name)),
        denseProduct(moduleNamed(update, name)),
      ) < CLOSE,
    );
  }
});

test("a rank above what the updates hold leaves directions that add nothing and can still learn", () => {
  const update = randomUpdate(Rng.fromSeed("spare"), "a", 1);
  const { state } = loraStack.aggregate([update], { rank: 4, scale: 2 });
  for (const { a, b } of state.modules) {
    const width = a.shape[1] as number;
    for (let r = 1; r < 4; r++) {
      const row = a.data.subarray(r * width, (r + 1) * width);
      assert.ok(Math.hypot(...row) > 0.1, `row ${r} of A is dead`);
      for (let o = 0; o < (b.shape[0] as number); o++) assert.equal(b.data[o * 4 + r], 0);
    }
  }
});

test("a layer pruned in rows by one device and in columns by another is refused", () => {
  const rng = Rng.fromSeed("both");
  const updates = [true, false].map((pruneRows, i) => {
    const update = randomUpdate(rng, `device-${i}`, 2);
    return {
      ...update,
      modules: update.modules.map((module) => pruneSome(rng, module, pruneRows, 0.5)),
    };
  });
  assert.throws(
    () => loraStack.aggregate(updates, { rank: 2, scale: 2 }),
    /rows and in its columns/,
  );
});

function pruneSome(rng: Rng, module: LoraModule, pruneRows: boolean, keep: number): LoraModule {
  const size = (pruneRows ? module.b.shape[0] : module.a.shape[1]) ?? 0;
  return prune(module, pruneRows ? "rows" : "cols", randomIndices(rng, size, keep));
}
