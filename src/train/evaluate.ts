/** Held-out quality: accuracy and macro-F1 of a classifier, perplexity of a language model. */
import { IGNORED_LABEL } from "../autograd/ops/cross-entropy.ts";
import { Tape } from "../autograd/tape.ts";
import { epochBatches, packBatch, type PackedBatch, type Sequence } from "../data/batch.ts";
import { accuracy, macroF1 } from "../data/metrics.ts";
import type { Model } from "../models/model.ts";
import { nextTokenTargets } from "../models/model.ts";

export interface ClassifierScores {
  readonly loss: number;
  readonly accuracy: number;
  readonly macroF1: number;
  readonly predictions: Int32Array;
}

/** Logits of every sequence, in the order given; each has as many entries as there are labels. */
export function classLogits(
  model: Model,
  sequences: readonly Sequence[],
  options: { batchSize: number },
): Float32Array[] {
  const out = new Array<Float32Array>(sequences.length);
  forEachBatch(
    sequences,
    options,
    (batch, indices) => {
      const tape = new Tape(model.engine, { recording: false });
      const logits = model.classLogits(tape, batch);
      const view = logits.f32;
      indices.forEach((index, row) => {
        out[index] = view.slice(row * logits.cols, (row + 1) * logits.cols);
      });
    },
    model,
  );
  return out;
}

/** Scores a classifier on labelled sequences. */
export function evaluateClassifier(
  model: Model,
  sequences: readonly Sequence[],
  options: { batchSize: number },
): ClassifierScores {
  const logits = classLogits(model, sequences, options);
  const gold = sequences.map(({ label }) => label ?? IGNORED_LABEL);
  const predictions = Int32Array.from(logits, argmax);
  const loss =
    logits.reduce((sum, row, i) => sum + crossEntropyOf(row, gold[i] as number), 0) / logits.length;
  return {
    loss,
    accuracy: accuracy(gold, predictions),
    macroF1: macroF1(gold, predictions, model.labels.length),
    predictions,
  };
}

/** Mean next-token loss in nats and its exponential, over all predicted tokens of the sequences. */
export function evaluateLanguageModel(
  model: Model,
  sequences: readonly Sequence[],
  options: { batchSize: number },
): { loss: number; perplexity: number; numTokens: number } {
  let total = 0;
  let numTokens = 0;
  forEachBatch(
    sequences,
    options,
    (batch) => {
      const { rows } = nextTokenTargets(batch);
      if (rows.length === 0) return;
      const tape = new Tape(model.engine, { recording: false });
      const loss = model.loss(tape, batch, { kind: "next-token" });
      total += (loss.f32[0] as number) * rows.length;
      numTokens += rows.length;
    },
    model,
  );
  const loss = numTokens === 0 ? NaN : total / numTokens;
  return { loss, perplexity: Math.exp(loss), numTokens };
}

export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) {
    if ((row[i] as number) > (row[best] as number)) best = i;
  }
  return best;
}

/** Softmax of one row of logits. */
export function probabilities(row: Float32Array): number[] {
  const top = Math.max(...row);
  const exps = Array.from(row, (value) => Math.exp(value - top));
  const total = exps.reduce((sum, value) => sum + value, 0);
  return exps.map((value) => value / total);
}

function crossEntropyOf(row: Float32Array, label: number): number {
  return -Math.log(Math.max(probabilities(row)[label] ?? 0, Number.MIN_VALUE));
}

function forEachBatch(
  sequences: readonly Sequence[],
  { batchSize }: { batchSize: number },
  action: (batch: PackedBatch, indices: readonly number[]) => void,
  model: Model,
): void {
  for (const indices of epochBatches(sequences.length, batchSize, null)) {
    const batch = packBatch(indices.map((i) => sequences[i] as Sequence));
    model.engine.step(() => action(batch, indices));
  }
}
