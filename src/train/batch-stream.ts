/** An endless stream of batches over epochs, whose position can be saved and restored. */
import { Rng } from "../base/rng.ts";
import { DataError } from "../base/errors.ts";
import { epochBatches, packBatch, type PackedBatch, type Sequence } from "../data/batch.ts";

/** `next` batches of epoch `epoch` are behind. */
export interface BatchPosition {
  readonly epoch: number;
  readonly next: number;
}

export interface BatchStreamOptions {
  readonly batchSize: number;
  /** Seed of the epochs' orders, or null for file order. */
  readonly shuffleSeed: number | string | null;
}

export class BatchStream {
  readonly #sequences: readonly Sequence[];
  readonly #options: BatchStreamOptions;
  #epoch = 0;
  #next = 0;
  #batches: number[][];

  /** Throws DataError for an empty list. */
  constructor(sequences: readonly Sequence[], options: BatchStreamOptions) {
    if (sequences.length === 0) {
      throw new DataError("there is nothing to train on", {
        expected: "at least one example",
        got: "none",
      });
    }
    this.#sequences = sequences;
    this.#options = options;
    this.#batches = this.#epochBatches(0);
  }

  get position(): BatchPosition {
    return { epoch: this.#epoch, next: this.#next };
  }

  set position({ epoch, next }: BatchPosition) {
    this.#epoch = epoch;
    this.#next = next;
    this.#batches = this.#epochBatches(epoch);
  }

  /** Batches in one epoch. */
  get batchesPerEpoch(): number {
    return Math.ceil(this.#sequences.length / this.#options.batchSize);
  }

  /** The next batch; goes on into the next epoch by itself. */
  next(): PackedBatch {
    if (this.#next >= this.#batches.length) {
      this.position = { epoch: this.#epoch + 1, next: 0 };
    }
    const indices = this.#batches[this.#next++] as number[];
    return packBatch(indices.map((i) => this.#sequences[i] as Sequence));
  }

  #epochBatches(epoch: number): number[][] {
    const { shuffleSeed, batchSize } = this.#options;
    const rng = shuffleSeed === null ? null : Rng.fromSeed(`${shuffleSeed}/epoch ${epoch}`);
    return epochBatches(this.#sequences.length, batchSize, rng);
  }
}
