/** FFA-LoRA: the common promises, the exact mean over a shared A, nested ranks, and what happens to another A. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { hostArray } from "../../../src/base/arrays.ts";
import { Rng } from "../../../src/base/rng.ts";
import type { AdapterUpdate } from "../../../src/strategies/aggregation/aggregator.ts";
import { ffaLora } from "../../../src/strategies/aggregation/ffa-lora.ts";
import {
  LAYERS,
  denseProduct,
  moduleNamed,
  prune,
  randomAdapter,
  randomArray,
  relativeDistance,
} from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";
import { denseOwnerMean } from "../../support/dense-mean.ts";

aggregatorSuite(ffaLora);

const options = { rank: 3, scale: 2 };

/** The first `rank` rows of the start's A with a B of its own. */
function updateOn(start: AdapterState, rng: Rng, deviceId: string, rank: number): AdapterUpdate {
  const modules = start.modules.map((module) => {
    const [, inputs = 0] = module.a.shape;
    const a = hostArray([rank, inputs], module.a.data.slice(0, rank * inputs));
    return { ...module, a, b: randomArray(rng, [module.b.shape[0] ?? 0, rank]) };
  });
  return { modules, heads: start.heads, deviceId, numSamples: 1 + rng.int(9) };
}

test("ffa-lora keeps A and gives the exact mean of the products, pruned ones too", () => {
  const rng = Rng.fromSeed("ffa");
  const previous = randomAdapter(rng, 3);
  const updates = ["a", "b", "c"].map((id, i) => {
    const update = updateOn(previous, rng, id, 3);
    return i === 0
      ? { ...update, modules: update.modules.map((module) => prune(module, "rows", [0, 3])) }
      : update;
  });
  for (const start of [{}, { previous }]) {
    const { state } = ffaLora.aggregate(updates, { ...options, ...start });
    for (const { name } of LAYERS) {
      assert.deepEqual(moduleNamed(state, name).a, moduleNamed(previous, name).a);
      const distance = relativeDistance(
        denseProduct(moduleNamed(state, name)),
        denseOwnerMean(updates, name),
      );
      assert.ok(distance < 1e-6, `${name} differs by ${distance}`);
    }
  }
});

test("ffa-lora averages a direction over the devices that have it", () => {
  const rng = Rng.fromSeed("nested");
  const previous = randomAdapter(rng, 3);
  const [small, large] = [updateOn(previous, rng, "a", 1), updateOn(previous, rng, "b", 2)];
  const { state } = ffaLora.aggregate([small, large], { ...options, previous });
  const of = (s: AdapterState) => moduleNamed(s, "layers.0.query").b.data;
  const share = small.numSamples / (small.numSamples + large.numSamples);
  for (let o = 0; o < 6; o++) {
    const both = share * (of(small)[o] ?? 0) + (1 - share) * (of(large)[2 * o] ?? 0);
    assert.ok(Math.abs((of(state)[3 * o] ?? 0) - both) < 1e-6);
    assert.equal(of(state)[3 * o + 1], of(large)[2 * o + 1]);
    assert.equal(of(state)[3 * o + 2], of(previous)[3 * o + 2]);
  }
});

test("ffa-lora refuses an update whose A was trained, at once or when the devices differ", () => {
  const rng = Rng.fromSeed("other");
  const previous = randomAdapter(rng, 3);
  const good = updateOn(previous, rng, "a", 3);
  const bad = updateOn(randomAdapter(rng, 3), rng, "b", 3);
  const defectOf = (update: AdapterUpdate) => ffaLora.defectIn?.(update, { ...options, previous });
  assert.equal(defectOf(good), null);
  assert.match(defectOf(bad)?.text ?? "", /another A/);
  assert.throws(() => ffaLora.aggregate([good, bad], { ...options, previous }), /update of b/);
  assert.throws(() => ffaLora.aggregate([good, bad], options), /another A/);
});
