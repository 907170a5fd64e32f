/** Held-out scores against hand-made numbers and transformers' losses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sequence } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import {
  argmax,
  classLogits,
  evaluateClassifier,
  evaluateLanguageModel,
  probabilities,
} from "../../src/train/evaluate.ts";
import { assertAllClose } from "../support/all-close.ts";
import { lastLogits } from "../support/logits.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "../support/tiny-model.ts";

const open = (name: TinyName): Model => loadModel(Engine.create(), tinyFolder(name));
const OPTIONS = { batchSize: 16 };

test("logits come back in the order of the sequences, whatever the batches were", () => {
  const model = open("bert-classify");
  const sequences: Sequence[] = Array.from({ length: 11 }, (_, i) => ({
    ids: [2, ...new Array<number>((i * 5) % 8).fill(6 + i), 3],
  }));
  const expected = sequences.map((sequence) => lastLogits(model, [sequence])[0] ?? []);
  for (const batchSize of [1, 3, 16]) {
    const logits = classLogits(model, sequences, { batchSize });
    assert.equal(logits.length, sequences.length);
    logits.forEach((row, i) => {
      assertAllClose(row, expected[i] ?? [], 1e-6, `row ${i}`);
    });
  }
  assert.deepEqual(classLogits(model, [], OPTIONS), []);
  assert.equal(model.engine.stats.step, 0);
});

test("a classifier's loss is transformers', its accuracy and F1 those of its predictions", () => {
  for (const name of ["bert-classify", "llama-classify"] as const) {
    const model = open(name);
    const reference = tinyReference(name);
    const sequences = tinySequences(reference);
    const best = reference.last_logits.map(argmax);
    const gold = sequences.map(({ label }) => label);
    const scores = evaluateClassifier(model, sequences, OPTIONS);
    assertAllClose([scores.loss], [reference.loss], 1e-4, "loss");
    assert.deepEqual([...scores.predictions], best);
    const hits = best.filter((label, i) => label === gold[i]).length;
    assert.equal(scores.accuracy, hits / gold.length);
  }
});

test("accuracy and macro-F1 are one for right predictions and fall with wrong ones", () => {
  const model = open("bert-classify");
  const rows = tinySequences(tinyReference("bert-classify"));
  const predictions = classLogits(model, rows, OPTIONS).map(argmax);
  const labelled = (labels: number[]): Sequence[] =>
    rows.map(({ ids }, i) => ({ ids, label: labels[i] as number }));
  const right = evaluateClassifier(model, labelled(predictions), OPTIONS);
  assert.deepEqual([right.accuracy, right.macroF1], [1, 1]);
  const wrong = labelled(predictions.map((label) => (label + 1) % 3));
  const scores = evaluateClassifier(model, wrong, OPTIONS);
  assert.deepEqual([scores.accuracy, scores.macroF1], [0, 0]);
  assert.ok(scores.loss > right.loss);
});

test("a language model's loss is the mean over all predicted tokens, its perplexity e to that", () => {
  for (const name of ["llama-tied", "llama-untied"] as const) {
    const model = open(name);
    const reference = tinyReference(name);
    const sequences = tinySequences(reference);
    for (const batchSize of [1, 2, 16]) {
      const scores = evaluateLanguageModel(model, sequences, { batchSize });
      assertAllClose([scores.loss], [reference.loss], 1e-4, "loss");
      assert.equal(scores.perplexity, Math.exp(scores.loss));
      assert.equal(
        scores.numTokens,
        sequences.reduce((sum, { ids }) => sum + ids.length - 1, 0),
      );
    }
  }
});

test("a sequence of one token predicts nothing and is no number's cause", () => {
  const model = open("llama-tied");
  const alone = evaluateLanguageModel(model, [{ ids: [2] }], OPTIONS);
  assert.deepEqual([alone.loss, alone.numTokens], [NaN, 0]);
  const [row] = tinySequences(tinyReference("llama-tied"));
  assert.ok(row);
  const one = { batchSize: 1 };
  const expected = evaluateLanguageModel(model, [row], one);
  assert.deepEqual(evaluateLanguageModel(model, [{ ids: [2] }, row], one), expected);
});

test("probabilities sum to one, also of logits that exp would overflow on", () => {
  const values = probabilities(Float32Array.of(1000, 999, -1000));
  assertAllClose(values, [0.7310586, 0.2689414, 0], 1e-6, "softmax");
  assert.ok(Math.abs(values.reduce((sum, value) => sum + value, 0) - 1) < 1e-12);
  assert.equal(argmax([1, 3, 3, 2]), 1);
});
