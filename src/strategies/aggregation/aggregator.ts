/** What an aggregation strategy is: adapters of several devices in, one adapter out. */
import type { AdapterState } from "../../base/adapter.ts";
import type { Defect } from "./update-check.ts";

/** What one device learnt in a round, from `numSamples` examples of its own. */
export interface AdapterUpdate extends AdapterState {
  readonly deviceId: string;
  readonly numSamples: number;
  /** Factor on its weight for having been trained from an older adapter, in (0, 1]; absent = 1. */
  readonly discount?: number;
}

export interface AggregateOptions {
  /** LoRA rank R of the result; with `devicesMerge` the least that it can be. */
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
  /** Every update must have the rank of the result; absent = any ranks. */
  readonly needsEqualRanks?: boolean;
  /** One vote per device: claimed samples and the discount for staleness do not count, since anybody can claim. */
  readonly countsDevices?: boolean;
  /** Takes ranks above the result's too, as a stale update has once its change is carried over to the newest adapter. */
  readonly takesAnyRank?: boolean;
  /**
   * Devices fold the received factors into their base and train fresh ones (plan.start "merge"), so that an update holds the change
   * alone; the rank of the result is then whatever it takes, and no prefix of it is of use. Absent = they train the received ones on.
   */
  readonly devicesMerge?: boolean;
  /** false: the A factors stay what they were (plan.trainA). Absent = both are trained. */
  readonly trainsA?: boolean;
  /** What this rule in particular cannot merge in one update that is sound by itself, or null; absent = nothing. */
  defectIn?(update: AdapterState, options: AggregateOptions): Defect | null;
  /** Throws RoundError when the updates cannot be merged. */
  aggregate(updates: readonly AdapterUpdate[], options: AggregateOptions): Aggregation;
}
