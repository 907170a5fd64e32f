/**
 * Multinomial logistic regression on a bag of words: the baseline that knows words but not their order.
 * Stochastic gradient descent, one example a step, L2 decay by a common scale of all weights and the rate
 * schedule of Bottou 2012, "Stochastic Gradient Descent Tricks", sections 5.1 and 5.2.
 */
import { DataError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import type { Dataset } from "./examples.ts";
import { accuracy } from "./metrics.ts";

export interface BagOfWordsOptions {
  /** Seed of the order of the examples. */
  readonly seed: number | string;
  /** Pairs of neighbouring words count as words too. */
  readonly bigrams?: boolean;
  readonly numEpochs?: number;
  /** Strength of the penalty l2/2 * |W|^2 beside the mean loss. */
  readonly l2?: number;
  readonly learningRate?: number;
}

const DEFAULTS = { bigrams: false, numEpochs: 20, l2: 1e-5, learningRate: 1 };

/** The bias is in every example and would jump with each of them at the full rate; it does not decay. */
const BIAS_RATE = 0.1;

/** A trained classifier of texts. */
export class BagOfWords {
  readonly labels: readonly string[];
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #bigrams: boolean;
  /** [words, classes] row-major. */
  readonly #weights: Float64Array;
  readonly #bias: Float64Array;

  constructor(
    labels: readonly string[],
    vocabulary: ReadonlyMap<string, number>,
    bigrams: boolean,
    weights: Float64Array,
    bias: Float64Array,
  ) {
    this.labels = labels;
    this.#vocabulary = vocabulary;
    this.#bigrams = bigrams;
    this.#weights = weights;
    this.#bias = bias;
  }

  get vocabularySize(): number {
    return this.#vocabulary.size;
  }

  /** The most likely class of `text`, as an index into `labels`; words never trained on count nothing. */
  predict(text: string): number {
    const known = features(text, this.#bigrams).flatMap((word) => this.#vocabulary.get(word) ?? []);
    const logits = Float64Array.from(this.#bias);
    addLogits(logits, this.#weights, toRow(known), 1);
    return logits.indexOf(Math.max(...logits));
  }

  /** Share of the examples of `dataset` given their own label, 0..1. */
  accuracy({ examples }: Dataset): number {
    const truth = examples.map(({ label }) => this.labels.indexOf(label));
    return accuracy(
      truth,
      examples.map(({ text }) => this.predict(text)),
    );
  }
}

/** Fits the classifier to `dataset`. Throws DataError where there is nothing to learn from. */
export function trainBagOfWords(dataset: Dataset, options: BagOfWordsOptions): BagOfWords {
  const { bigrams, numEpochs, l2, learningRate } = { ...DEFAULTS, ...options };
  const { examples, labels } = dataset;
  if (examples.length === 0 || labels.length < 2) {
    throw new DataError("cannot train a classifier", {
      expected: "examples of two labels or more",
      got: `${examples.length} examples, ${labels.length} labels`,
    });
  }
  const vocabulary = new Map<string, number>();
  const rows = examples.map(({ text }) =>
    toRow(
      features(text, bigrams).map((word) => {
        const index = vocabulary.get(word) ?? vocabulary.size;
        vocabulary.set(word, index);
        return index;
      }),
    ),
  );
  const classOf = new Map(labels.map((label, index) => [label, index]));
  const C = labels.length;
  const weights = new Float64Array(vocabulary.size * C);
  const bias = new Float64Array(C);
  const logits = new Float64Array(C);
  const order = examples.map((_, index) => index);
  const rng = Rng.fromSeed(options.seed).fork("bag-of-words");
  // The weights in use are scale * weights, so that decay costs one multiplication.
  let scale = 1;
  let step = 0;
  for (let epoch = 0; epoch < numEpochs; epoch++) {
    for (const index of rng.shuffle(order)) {
      const row = rows[index] as Row;
      const truth = classOf.get(examples[index]?.label ?? "") as number;
      const rate = learningRate / (1 + learningRate * l2 * step++);
      logits.set(bias);
      addLogits(logits, weights, row, scale);
      softmax(logits);
      logits[truth] = (logits[truth] as number) - 1;
      scale *= 1 - rate * l2;
      for (let c = 0; c < C; c++) {
        bias[c] = (bias[c] as number) - BIAS_RATE * rate * (logits[c] as number);
      }
      const { words, values } = row;
      for (let i = 0; i < words.length; i++) {
        const start = (words[i] as number) * C;
        const amount = (rate / scale) * (values[i] as number);
        for (let c = 0; c < C; c++) {
          weights[start + c] = (weights[start + c] as number) - amount * (logits[c] as number);
        }
      }
    }
  }
  for (let i = 0; i < weights.length; i++) weights[i] = (weights[i] as number) * scale;
  return new BagOfWords(labels, vocabulary, bigrams, weights, bias);
}

/** Lower-case words and numbers in their order; an apostrophe inside belongs to the word. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*/gu) ?? [];
}

function features(text: string, bigrams: boolean): string[] {
  const words = wordsOf(text);
  if (!bigrams) return words;
  return [...words, ...words.slice(1).map((word, index) => `${words[index] ?? ""} ${word}`)];
}

/** One text: the distinct words and their counts, scaled to length one. */
interface Row {
  readonly words: Int32Array;
  readonly values: Float64Array;
}

function toRow(words: readonly number[]): Row {
  const counts = new Map<number, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const values = Float64Array.from(counts.values());
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return { words: Int32Array.from(counts.keys()), values: values.map((value) => value / length) };
}

function addLogits(logits: Float64Array, weights: Float64Array, row: Row, scale: number): void {
  const C = logits.length;
  for (let i = 0; i < row.words.length; i++) {
    const start = (row.words[i] as number) * C;
    const value = scale * (row.values[i] as number);
    for (let c = 0; c < C; c++) {
      logits[c] = (logits[c] as number) + value * (weights[start + c] as number);
    }
  }
}

function softmax(logits: Float64Array): void {
  const max = Math.max(...logits);
  let sum = 0;
  for (let c = 0; c < logits.length; c++) {
    const value = Math.exp((logits[c] as number) - max);
    logits[c] = value;
    sum += value;
  }
  for (let c = 0; c < logits.length; c++) logits[c] = (logits[c] as number) / sum;
}
