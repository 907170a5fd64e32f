/** The norm bound: what the norm is of, when it judges, and that a minority cannot move it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { changeNorm } from "../../../src/strategies/screening/change-norm.ts";
import { median } from "../../../src/strategies/screening/median.ts";
import { NormBound } from "../../../src/strategies/screening/norm-bound.ts";
import { mostSamples } from "../../../src/strategies/screening/sample-cap.ts";
import { denseProduct, randomAdapter } from "../../support/adapters.ts";
import { difference, squares } from "../../support/dense-mean.ts";
import { must } from "../../support/must.ts";

const OPTIONS = { factor: 5, warmup: 4, window: 6 };
const norms = (...products: number[]) => products.map((norm) => ({ products: norm, heads: 1 }));

test("the norm is that of the change of the products and of the heads", () => {
  const rng = Rng.fromSeed("norm");
  const [update, start] = [randomAdapter(rng, 2), randomAdapter(rng, 3)];
  const { products, heads } = changeNorm(update, start);
  const expected = update.modules.map((module, i) =>
    squares(difference(denseProduct(module), denseProduct(must(start.modules[i])))),
  );
  const sum = expected.reduce((total, each) => total + each, 0);
  assert.ok(Math.abs(products / Math.sqrt(sum) - 1) < 1e-5);
  const [head, before] = [update, start].map((state) => [
    ...must([...state.heads.values()][0]).data,
  ]);
  const change = must(head).map((value, i) => value - (must(before)[i] ?? 0));
  assert.ok(Math.abs(heads / Math.hypot(...change) - 1) < 1e-5);
});

test("factors that are turned or rescaled without any change have no norm", () => {
  const start = randomAdapter(Rng.fromSeed("turned"), 3);
  const modules = start.modules.map(({ a, b, ...rest }) => ({
    ...rest,
    a: { ...a, data: a.data.map((value) => -4 * value) },
    b: { ...b, data: b.data.map((value) => value / -4) },
  }));
  assert.ok(changeNorm({ modules, heads: start.heads }, start).products < 1e-4);
  assert.ok(changeNorm({ modules, heads: start.heads }, null).products > 1);
});

test("an update is judged by the history once there is enough of it, and by its round before", () => {
  const bound = new NormBound(OPTIONS);
  const far = { products: 100, heads: 1 };
  assert.equal(bound.excessOf(far), null);
  assert.equal(bound.excessAmong(far, norms(100, 1)), null, "two cannot say who is wrong");
  assert.match(bound.excessIn(far, norms(100, 1, 2, 1)) ?? "", /products.*66.7 times/);
  bound.learn(norms(1, 2, 1, 2));
  assert.match(bound.excessOf(far) ?? "", /66.7 times/);
  assert.match(bound.excessOf({ products: 1, heads: 6 }) ?? "", /heads changed by 6.00, 6.00/);
  assert.equal(bound.excessOf({ products: 7, heads: 5 }), null);
  assert.match(bound.excessIn(far, norms(100, 100, 100)) ?? "", /66.7 times/, "not by its round");
  assert.equal(bound.excessAmong(far, norms(100, 100, 100)), null);
});

test("the bound follows the newest norms and survives a restart", () => {
  const bound = new NormBound(OPTIONS);
  bound.learn(norms(1, 1, 1, 1));
  bound.learn(norms(10, 10, 10, 10));
  assert.equal(bound.excessOf({ products: 49, heads: 1 }), null);
  const resumed = new NormBound(OPTIONS);
  resumed.restore(JSON.parse(JSON.stringify(bound.export())));
  assert.deepEqual(resumed.export(), bound.export());
  assert.notEqual(resumed.excessOf({ products: 51, heads: 1 }), null);
  assert.throws(() => resumed.restore({ products: ["x"], heads: [] }), /saved norms/);
});

test("claimed samples are capped by the others' claims, by a number, or not at all", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(mostSamples([10, 20, 1e9], { factor: 10, most: null }), 200);
  assert.equal(mostSamples([10, 20, 1e9], { factor: 10, most: 50 }), 50);
  assert.equal(mostSamples([10, 20, 1e9], { factor: null, most: null }), Infinity);
});
