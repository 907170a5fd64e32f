/** What `fedspine train` is told: its options, which of them go together, and which a continuation must share. */
import type { ThreadChoice } from "../backend/threads/load.ts";
import type { BaseDtype } from "../base/base-dtype.ts";
import { ConfigError } from "../base/errors.ts";
import type { ScheduleKind } from "../train/schedule.ts";
import type { KernelChoice } from "./options.ts";

/** The parsed command line; command() in commands/train.ts says what each is for. */
export interface TrainOptions {
  model: string;
  data: string;
  task: "classify" | "lm";
  textColumn?: string;
  labelColumn?: string;
  testRatio: number;
  maxTokens?: number;
  rank: number;
  alpha?: number;
  targets?: string;
  dropout: number;
  trainHead: boolean;
  initAdapter?: string;
  structure?: string;
  randomWeights?: boolean;
  steps?: number;
  epochs: number;
  batchSize: number;
  accumulate: number;
  lr: number;
  schedule: ScheduleKind;
  warmup: number;
  clip: number;
  weightDecay: number;
  seed: number;
  shuffle: boolean;
  evalEvery?: number;
  patience?: number;
  checkpointEvery?: number;
  resume?: boolean;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  threads: ThreadChoice;
  out?: string;
  log?: string;
  json?: boolean;
}

/** Refuses options that would do nothing. Throws ConfigError. */
export function checkCombinations(options: TrainOptions, hasHeldOut: boolean): void {
  const { out, resume, checkpointEvery, evalEvery, patience } = options;
  const needs = (flag: string, expected: string): ConfigError =>
    new ConfigError(flag, { expected });
  if (out === undefined && resume === true) throw needs("--resume", "--out DIR beside it");
  if (out === undefined && checkpointEvery !== undefined) {
    throw needs("--checkpoint-every", "--out DIR beside it");
  }
  if (evalEvery !== undefined && !hasHeldOut) {
    throw needs("--eval-every", "held-out examples: --test-ratio, or a folder with a test part");
  }
  if (patience !== undefined && evalEvery === undefined) {
    throw needs("--patience", "--eval-every N beside it");
  }
}

/** The settings that a continuation must share with the run that it continues. */
export function settingsOf(options: TrainOptions): Record<string, unknown> {
  const { model, data, task, testRatio, maxTokens = null } = options;
  const { textColumn = null, labelColumn = null } = options;
  const { structure = null } = options;
  const { rank, alpha = null, targets = null, dropout, trainHead, randomWeights = false } = options;
  const { steps = null, epochs, batchSize, accumulate, seed, shuffle, kernels } = options;
  const { baseDtype } = options;
  const { lr, schedule, warmup, clip, weightDecay } = options;
  return {
    ...{ model, data, task, testRatio, maxTokens, textColumn, labelColumn },
    ...{ structure, baseDtype, rank, alpha, targets, dropout, trainHead, randomWeights },
    ...{ steps, epochs, batchSize, accumulate, seed, shuffle, kernels },
    ...{ lr, schedule, warmup, weightDecay, clip: Number.isFinite(clip) ? clip : "off" },
  };
}
