/** What an aggregation strategy is: adapters of several devices in, one adapter out. */
import type { AdapterState } from "../../base/adapter.ts";

/** What one device learnt in a round, from `numSamples` examples of its own. */
export interface AdapterUpdate extends AdapterState {
  readonly deviceId: string;
  readonly numSamples: number;
}

export interface AggregateOptions {
  /** LoRA rank R of the result. */
  readonly rank: number;
  /** alpha / R of the result. */
  readonly scale: number;
  /** The adapter that the round started from: the value of structures that no update owns. Absent = zero. */
  readonly previous?: AdapterState;
}

export interface Aggregation {
  readonly state: AdapterState;
  /** Share of the merged update's squared singular values that did not fit into the rank, in [0, 1]. */
  readonly discardedEnergy: number;
}

/** Pure, and free of order: the result depends on the set of updates, not on their sequence. */
export interface Aggregator {
  readonly name: string;
  /** Throws RoundError when the updates cannot be merged. */
  aggregate(updates: readonly AdapterUpdate[], options: AggregateOptions): Aggregation;
}
