/** What the simulation and its worker threads say to each other. */
import type { BaseDtype } from "../base/base-dtype.ts";
import type { Structure } from "../base/structure.ts";
import type { Example } from "../data/examples.ts";
import type { TrainPlan } from "../protocol/messages.ts";
import type { TrainerReport } from "../device/local-trainer.ts";
import type { EngineTrainerOptions } from "../device/engine-trainer.ts";

/** What every worker knows from its start. */
export interface WorkerSetup {
  readonly baseFolder: string;
  readonly labels: readonly string[];
  readonly kernels: EngineTrainerOptions["kernels"];
  readonly baseDtype: BaseDtype;
  /** Each device's own examples, by its index. */
  readonly parts: readonly (readonly Example[])[];
  readonly test: readonly Example[];
}

/** One device's work of one round; it depends on nothing that a worker keeps. */
export interface TrainJob {
  readonly kind: "train";
  readonly device: { readonly id: string; readonly index: number };
  readonly plan: TrainPlan;
  /** Names the run that the memory belongs to. */
  readonly run: string;
  /** Safetensors; null for fresh factors. */
  readonly adapter: Uint8Array | null;
  /** What the device's trainer kept after its last round; null before its first. */
  readonly memory: Uint8Array | null;
}

export interface TrainResult {
  readonly update: Uint8Array;
  readonly report: TrainerReport;
  readonly memory: Uint8Array | null;
  /** Loss of each step. */
  readonly losses: readonly number[];
}

/** Scores an adapter, or for null the base alone, on the held-out examples. */
export interface ScoreJob {
  readonly kind: "score";
  /** Cut to the structure already. */
  readonly adapter: Uint8Array | null;
  /** null: the whole model. */
  readonly structure: Structure | null;
  readonly maxTokens: number;
}

export interface ScoreResult {
  readonly accuracy: number;
  readonly loss: number;
  readonly macroF1: number;
}

export interface Jobs {
  readonly train: { readonly job: TrainJob; readonly result: TrainResult };
  readonly score: { readonly job: ScoreJob; readonly result: ScoreResult };
}
export type Job = Jobs[keyof Jobs]["job"];
export type ResultOf<J extends Job> = Jobs[J["kind"]]["result"];

/** From the simulation to a worker, and back. */
export interface JobMessage {
  readonly serial: number;
  readonly job: Job;
}
export type JobAnswer =
  | { readonly serial: number; readonly result: Jobs[keyof Jobs]["result"] }
  | { readonly serial: number; readonly failure: string };
