/** HetLoRA: the common promises, weights from the norms of the products, and zero padding. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import type { AdapterUpdate } from "../../../src/strategies/aggregation/aggregator.ts";
import { hetLora } from "../../../src/strategies/aggregation/het-lora.ts";
import { productNorm } from "../../../src/strategies/aggregation/product-sum.ts";
import {
  denseProduct,
  moduleNamed,
  prune,
  randomAdapter,
  randomUpdate,
} from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";
import { squares } from "../../support/dense-mean.ts";

aggregatorSuite(hetLora);

const options = { rank: 4, scale: 2 };
const LAYER = "layers.0.query";
const norm = (update: AdapterUpdate): number =>
  Math.sqrt(squares(denseProduct(moduleNamed(update, LAYER))));

test("the norm of a product needs no product", () => {
  const { modules } = randomAdapter(Rng.fromSeed("norm"), 3, 0.7);
  for (const module of modules) {
    const expected = Math.sqrt(squares(denseProduct(module)));
    assert.ok(Math.abs(productNorm(module) / expected - 1) < 1e-12);
  }
});

test("het-lora weighs zero-padded factors by the norms of their products, not by samples", () => {
  const rng = Rng.fromSeed("het");
  const updates = [1, 2, 3].map((rank, i) => randomUpdate(rng, `device-${i}`, rank));
  const { state } = hetLora.aggregate(updates, options);
  const total = updates.reduce((sum, update) => sum + norm(update), 0);
  const { a } = moduleNamed(state, LAYER);
  const inputs = a.shape[1] ?? 0;
  for (let at = 0; at < 3 * inputs; at++) {
    const expected = updates.reduce((sum, update) => {
      const value = moduleNamed(update, LAYER).a.data[at] ?? 0;
      return sum + (norm(update) / total) * value;
    }, 0);
    assert.ok(Math.abs((a.data[at] ?? Number.NaN) - expected) < 1e-6);
  }
});

test("het-lora leaves the directions that no device has as they were, or able to learn", () => {
  const rng = Rng.fromSeed("beyond");
  const updates = [randomUpdate(rng, "a", 2)];
  const previous = randomAdapter(rng, 4);
  const { a, b } = moduleNamed(hetLora.aggregate(updates, { ...options, previous }).state, LAYER);
  const before = moduleNamed(previous, LAYER);
  assert.deepEqual(a.data.subarray(2 * 5), before.a.data.subarray(2 * 5));
  for (let o = 0; o < 6; o++)
    assert.deepEqual(
      b.data.subarray(4 * o + 2, 4 * o + 4),
      before.b.data.subarray(4 * o + 2, 4 * o + 4),
    );
  const first = moduleNamed(hetLora.aggregate(updates, options).state, LAYER);
  for (const r of [2, 3]) {
    assert.ok(Math.hypot(...first.a.data.subarray(5 * r, 5 * r + 5)) > 0.1);
    assert.ok(first.b.data.every((value, i) => i % 4 !== r || value === 0));
  }
});

test("het-lora averages rows over their owners", () => {
  const rng = Rng.fromSeed("owners");
  const [x, y] = [randomUpdate(rng, "a", 4), randomUpdate(rng, "b", 4)];
  const cut = { ...x, modules: x.modules.map((module) => prune(module, "rows", [0, 1])) };
  const { state } = hetLora.aggregate([cut, y], options);
  const [got, own] = [moduleNamed(state, LAYER).b.data, moduleNamed(y, LAYER).b.data];
  assert.deepEqual(got.subarray(2 * 4), own.subarray(2 * 4));
  assert.notDeepEqual(got.subarray(0, 2 * 4), own.subarray(0, 2 * 4));
});

test("het-lora weighs by samples when no device changed anything", () => {
  const rng = Rng.fromSeed("nothing");
  const updates = [1, 3].map((numSamples, i) => {
    const update = randomUpdate(rng, `device-${i}`, 4);
    for (const { b } of update.modules) b.data.fill(0);
    return { ...update, numSamples };
  });
  const { a } = moduleNamed(hetLora.aggregate(updates, options).state, LAYER);
  const [x = 0, y = 0] = updates.map((update) => moduleNamed(update, LAYER).a.data[7]);
  assert.equal(a.data[7], Math.fround(0.25 * x + 0.75 * y));
});

test("het-lora refuses ranks above the result's and other scales", () => {
  const rng = Rng.fromSeed("refuse");
  for (const bad of [randomUpdate(rng, "a", 5), randomUpdate(rng, "a", 4, 1)]) {
    assert.match(hetLora.defectIn?.(bad, options)?.text ?? "", /not at most rank 4 and scale 2/);
    assert.throws(() => hetLora.aggregate([bad], options), /lora-stack/);
  }
});
