/** Accuracy and F1 against values worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { accuracy, confusionMatrix, f1ByClass, macroF1 } from "../../src/data/metrics.ts";

const TRUTH = [0, 0, 0, 1, 1, 2];
const PREDICTED = [0, 0, 1, 1, 2, 2];

test("accuracy is the share of equal entries", () => {
  assert.equal(accuracy(TRUTH, PREDICTED), 4 / 6);
  assert.equal(accuracy([], []), 0);
});

test("the confusion matrix has true classes as rows", () => {
  assert.deepEqual([...confusionMatrix(TRUTH, PREDICTED, 3)], [2, 1, 0, 0, 1, 1, 0, 0, 1]);
});

test("F1 by class and its mean agree with the values worked out by hand", () => {
  // Class 0: precision 1, recall 2/3; class 1: both 1/2; class 2: precision 1/2, recall 1.
  const expected = [4 / 5, 1 / 2, 2 / 3];
  f1ByClass(TRUTH, PREDICTED, 3).forEach((score, index) => {
    assert.ok(Math.abs(score - (expected[index] ?? NaN)) < 1e-12);
  });
  assert.ok(Math.abs(macroF1(TRUTH, PREDICTED, 3) - (4 / 5 + 1 / 2 + 2 / 3) / 3) < 1e-12);
});

test("a class that neither occurs nor is predicted does not weigh on macro F1", () => {
  assert.equal(macroF1([0, 1], [0, 1], 5), 1);
  assert.equal(macroF1([0, 0], [1, 1], 2), 0);
});

test("unequal lengths and unknown classes are errors", () => {
  assert.throws(() => accuracy([0], [0, 1]), /expected 1 predictions/);
  assert.throws(() => confusionMatrix([0], [3], 3), /from 0 to 2, got 3/);
});
