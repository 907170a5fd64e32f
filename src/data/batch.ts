/** Token sequences into right-padded batches; sequences of like length go together. */
import type { Rng } from "../base/rng.ts";

/** One sequence of token ids, with a class index where there is one. */
export interface Sequence {
  readonly ids: readonly number[];
  readonly label?: number;
}

/** Ids of B sequences, row after row, right-padded to T; see TokenBatch in models/transformer.ts. */
export interface PaddedBatch {
  readonly ids: Int32Array;
  readonly lengths: Int32Array;
  readonly labels: Int32Array;
  readonly B: number;
  readonly T: number;
}

/** Sequences of a bucket are sorted by length before they are cut into batches. */
const BATCHES_PER_BUCKET = 32;

export function padBatch(sequences: readonly Sequence[], padId: number): PaddedBatch {
  const B = sequences.length;
  const T = Math.max(1, ...sequences.map(({ ids }) => ids.length));
  const ids = new Int32Array(B * T).fill(padId);
  sequences.forEach((sequence, b) => ids.set(sequence.ids, b * T));
  return {
    ids,
    lengths: Int32Array.from(sequences, (sequence) => sequence.ids.length),
    labels: Int32Array.from(sequences, (sequence) => sequence.label ?? -1),
    B,
    T,
  };
}

/** Indices of one epoch cut into batches: in file order without `rng`, else shuffled and length-bucketed. */
export function epochBatches(
  lengths: readonly number[],
  batchSize: number,
  rng: Rng | null,
): number[][] {
  const order = lengths.map((_, i) => i);
  if (rng === null) return chunks(order, batchSize);
  rng.shuffle(order);
  const batches = chunks(order, batchSize * BATCHES_PER_BUCKET).flatMap((bucket) =>
    // A stable sort keeps the shuffled order among equal lengths.
    chunks(
      bucket.sort((i, j) => (lengths[i] as number) - (lengths[j] as number)),
      batchSize,
    ),
  );
  return rng.shuffle(batches);
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const out: T[][] = [];
  for (let i = 0; i < items.length; i += size) out.push(items.slice(i, i + size));
  return out;
}
