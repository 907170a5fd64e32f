/** One cell of the grid: the settings of one simulated run, named and keyed so that it is run once. */
import { createHash } from "node:crypto";
import type { MethodSettings } from "./methods.ts";
import { RANK } from "./methods.ts";

/** How much is run. */
export interface Scale {
  readonly name: "quick" | "full";
  readonly devices: number;
  /** Devices asked per round. */
  readonly perRound: number;
  readonly rounds: number;
  /** Optimiser steps of a device per round. */
  readonly steps: number;
  readonly batchSize: number;
  readonly maxTokens: number;
  /** Over all devices. */
  readonly trainExamples: number;
  readonly testExamples: number;
  /** Rounds between scores, and devices whose own models they are means of; the last round scores all. */
  readonly evaluateEvery: number;
  readonly evaluateDevices: number;
  /** Rounds of a run that only chooses a learning rate; 0 = all methods have the usual one. */
  readonly tuningRounds: number;
}

/** What a run depends on, and nothing else: equal settings are one run. */
export interface CellSettings {
  /** Raised when results of before no longer compare. */
  readonly version: 2;
  /** Folder below the data folder, or "demo". */
  readonly dataset: string;
  /** Concentration of the Dirichlet split by label. */
  readonly alpha: number;
  readonly seed: number;
  readonly learningRate: number;
  readonly fleet: string;
  readonly scale: Omit<Scale, "name" | "tuningRounds">;
  readonly method: MethodSettings;
}

export interface Cell {
  /** For people and for --only: dataset/alpha/sparsity/method/seed. */
  readonly label: string;
  readonly settings: CellSettings;
}

/**
 * Times are those of the paper's model, while what is learnt is the bundled base's: RoBERTa-base at 16 x 128 tokens with rank 8 on
 * all linear layers. At the bundled base's own size training would be over in milliseconds and links alone would decide.
 */
export const EMULATED = { gflopsPerStep: 700, updateBytes: 5_300_000 } as const;

export const scales: Readonly<Record<Scale["name"], Scale>> = {
  full: {
    name: "full",
    devices: 80,
    perRound: 10,
    rounds: 40,
    steps: 20,
    batchSize: 8,
    maxTokens: 48,
    trainExamples: 16_000,
    testExamples: 500,
    evaluateEvery: 4,
    evaluateDevices: 4,
    tuningRounds: 10,
  },
  quick: {
    name: "quick",
    devices: 16,
    perRound: 4,
    rounds: 20,
    steps: 20,
    batchSize: 8,
    maxTokens: 48,
    trainExamples: 3200,
    testExamples: 400,
    evaluateEvery: 4,
    evaluateDevices: 4,
    tuningRounds: 0,
  },
};

/** Where no learning rate was chosen. */
export const USUAL_RATE = 4e-3;
/** What a learning rate is chosen from. */
export const TRIED_RATES = [2e-3, 4e-3, 8e-3] as const;

/** Short name of a cell's settings: equal ones have equal keys, whatever they are called. */
export function cellKey({ settings }: Cell): string {
  return createHash("sha256").update(sortedJson(settings)).digest("hex").slice(0, 16);
}

/** JSON whose keys are in order, so that equal values are equal text. */
function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The settings of the coordinator for a cell: what all methods share, and the method's own. */
export function coordinatorSettings({
  scale,
  learningRate,
  method,
}: CellSettings): Record<string, unknown> {
  const { rounds, steps, batchSize, maxTokens, perRound } = scale;
  return {
    rounds,
    minDevices: perRound,
    plan: {
      ...{ rank: RANK, alpha: 2 * RANK, targets: "all-linear", trainHead: true, dropout: 0 },
      ...{ steps, batchSize, maxTokens, learningRate },
    },
    ...method,
  };
}
