/** What a controller is: it chooses pruning ratio and LoRA rank for every device and round, and learns from what came back. */
import type { Rng } from "../../base/rng.ts";

/** A pair that a controller may choose: the cumulative sparsity of the body, in [0, 1), and the LoRA rank. */
export interface Choice {
  readonly sparsity: number;
  readonly rank: number;
}

/** What a choice costs a device, from the cost model; times are unknown to it. */
export interface ChoiceCost {
  readonly gflopsPerStep: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Peak memory of the engine while training. */
  readonly memoryBytes: number;
}

/** What the coordinator knows of a device that it is about to ask. */
export interface DeviceView {
  readonly id: string;
  /** Kind of machine, as the device names it. */
  readonly type: string;
  readonly cores: number;
  /** Sparsity that it has reached. */
  readonly sparsity: number;
  /**
   * Sparsities between which this round's choice must lie: the schedule's corridor, above what is reached, and what memory needs.
   * A schedule that leaves no choice has min = max.
   */
  readonly minSparsity: number;
  readonly maxSparsity: number;
  /** Ranks that fit into the device's memory, ascending, never empty. */
  readonly ranks: readonly number[];
  /** Cost of a choice; defined for every sparsity in [0, 1) and every rank. */
  readonly cost: (choice: Choice) => ChoiceCost;
}

export interface RoundView {
  readonly round: number;
  readonly rounds: number;
  /** Optimiser steps of a device in this round. */
  readonly steps: number;
  /** Sparsity of the schedule's reference ramp now, and at the end of the run. */
  readonly referenceSparsity: number;
  readonly finalSparsity: number;
}

/** What came back from one device in one round. */
export interface Outcome {
  readonly device: string;
  readonly choice: Choice;
  /** Costs of what was really done. */
  readonly cost: ChoiceCost;
  /** null when no update came in time. */
  readonly result: {
    readonly stepMs: number;
    readonly trainMs: number;
    readonly downloadMs: number;
    readonly uploadMs: number;
    readonly bytesUp: number;
    readonly bytesDown: number;
    readonly steps: number;
    /** Download, training and upload. */
    readonly completionMs: number;
    readonly lossFirst: number;
    readonly lossLast: number;
    readonly heldOutLoss: number | null;
    readonly sparsityBefore: number;
    readonly sparsity: number;
    readonly importance: number;
    readonly numSamples: number;
  } | null;
}

/** Why a device got what it got, as rows for a reader; numbers keep their meaning in their names. */
export interface Explanation {
  /** One sentence: what was chosen and what decided. */
  readonly summary: string;
  /** Tables by title: arms with counts and rewards, reward parts of the last rounds, the fitted time model. */
  readonly tables: readonly {
    readonly title: string;
    readonly columns: readonly string[];
    readonly rows: readonly (readonly (string | number)[])[];
  }[];
}

export interface Controller {
  readonly name: string;
  /** A choice for every device, inside its view's limits; called once per attempt with the devices that are asked now. */
  propose(devices: readonly DeviceView[], round: RoundView, rng: Rng): Map<string, Choice>;
  /** All outcomes of a round at once, since rewards compare devices. */
  learn(outcomes: readonly Outcome[], round: RoundView): void;
  /** Everything learnt, as JSON; {@link restore} of it continues exactly. */
  export(): unknown;
  /** Throws ConfigError for what {@link export} did not write. */
  restore(state: unknown): void;
  /** null for a device that was never asked. */
  explain(deviceId: string): Explanation | null;
}
