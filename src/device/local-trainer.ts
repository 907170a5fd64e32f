/** What the agent needs from whoever trains: the engine in a real device, a stand-in in tests. */
import type { DeviceReport, TrainPlan } from "../protocol/messages.ts";

/** The part of the report that only the trainer knows. */
export type TrainerReport = Omit<
  DeviceReport,
  "stepMs" | "trainMs" | "downloadMs" | "bytesUp" | "bytesDown"
>;

export interface TrainedUpdate {
  /** The adapter after training, as safetensors. */
  readonly update: Uint8Array;
  readonly report: TrainerReport;
}

export interface LocalTrainer {
  /**
   * Makes the base of a folder, which holds its files by name, the one to train on; called again when base, labels or run change.
   * `run` names the run: what was pruned in another one does not count.
   */
  prepare(folder: string, labels: readonly string[], run: string): Promise<void>;
  /**
   * Trains on this device's own examples, from `adapter` (safetensors) or from fresh factors of `plan.seed`. Must await `onStep` after
   * each optimiser step, numbered from 1: that is where the agent takes its turn. Rejects soon after `signal` is aborted.
   */
  train(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<TrainedUpdate>;
}
