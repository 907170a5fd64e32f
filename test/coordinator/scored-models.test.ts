/** Which pruned models are scored: all at the end, a fair sample on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PrunedModel, scoredModels } from "../../src/coordinator/scored-models.ts";

const model = (sparsity: number): PrunedModel => ({ sparsity, structure: { layers: [] } });
const models = new Map(
  [0.3, 0.1, 0.5, 0.1, 0.2].map((sparsity, i) => [`d${i}`, model(sparsity)] as const),
);

test("a sample holds the least and the most pruned model and is the same every time", () => {
  assert.deepEqual([...scoredModels(models, 2).keys()], ["d1", "d2"]);
  assert.deepEqual([...scoredModels(models, 3).keys()], ["d1", "d4", "d2"]);
  assert.deepEqual([...scoredModels(models, 1).keys()], ["d2"]);
  const backwards = new Map([...models].reverse());
  assert.deepEqual(scoredModels(backwards, 3), scoredModels(models, 3));
});

test("a count that covers all takes all, and unpruned models stand for nothing", () => {
  assert.equal(scoredModels(models, 5).size, 5);
  assert.equal(scoredModels(models, 99).size, 5);
  assert.equal(scoredModels(new Map([["a", model(0)]]), 9).size, 0);
  assert.equal(scoredModels(new Map(), 9).size, 0);
});
