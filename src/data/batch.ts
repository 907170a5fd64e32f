/** Token sequences into packed batches: one below the other, without padding. */
import type { Rng } from "../base/rng.ts";

/** One sequence of token ids, with a class index where there is one. */
export interface Sequence {
  readonly ids: readonly number[];
  readonly label?: number;
}

/** Ids of B sequences and where each begins, see TokenBatch in models/transformer.ts, and their classes, -1 for none. */
export interface PackedBatch {
  readonly ids: Int32Array;
  readonly offsets: Int32Array;
  readonly labels: Int32Array;
}

export function packBatch(sequences: readonly Sequence[]): PackedBatch {
  const offsets = new Int32Array(sequences.length + 1);
  sequences.forEach(({ ids }, b) => (offsets[b + 1] = (offsets[b] as number) + ids.length));
  const ids = new Int32Array(offsets[sequences.length] as number);
  sequences.forEach((sequence, b) => ids.set(sequence.ids, offsets[b]));
  return { ids, offsets, labels: Int32Array.from(sequences, ({ label }) => label ?? -1) };
}

/** Indices of one epoch of `count` examples cut into batches: in file order without `rng`, else shuffled. */
export function epochBatches(count: number, batchSize: number, rng: Rng | null): number[][] {
  const order = Array.from({ length: count }, (_, i) => i);
  rng?.shuffle(order);
  const batches: number[][] = [];
  for (let i = 0; i < count; i += batchSize) batches.push(order.slice(i, i + batchSize));
  return batches;
}
