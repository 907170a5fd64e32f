/** The optimiser steps of one round on an adapted model, with everything that is measured on the way. */
import type { NamedArrays } from "../../base/arrays.ts";
import type { Sequence } from "../../data/batch.ts";
import type { TrainPlan } from "../../protocol/messages.ts";
import type { AdaptedModel } from "../../train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../train/fine-tune.ts";
import type { TrainedTensor } from "../../train/optimizer.ts";
import { trainedParameters } from "./adapted-base.ts";
import type { Scoring } from "./scoring.ts";
import { firstDirections, SelfPruning } from "./self-pruning.ts";

export interface LocalRoundOptions {
  readonly adapted: AdaptedModel;
  readonly plan: TrainPlan;
  readonly sequences: readonly Sequence[];
  readonly shuffleSeed: string;
  /** Run blocks again in the backward pass instead of keeping what they computed. */
  readonly recompute: boolean;
  /** null when units are not scored. */
  readonly scoring: Scoring | null;
  readonly onStep: (step: number, loss: number) => Promise<void>;
  readonly signal: AbortSignal;
}

export interface LocalRound {
  /** Factors and heads after training, by name. */
  readonly values: NamedArrays;
  /** Directions of the factors: fewer than the plan's when self-pruning has cut them. */
  readonly rank: number;
  readonly lossFirst: number;
  readonly lossLast: number;
  readonly steps: number;
  /** Sum over the factors of |<factor, gradient>|, mean over the steps. */
  readonly importance: number;
  /** Most bytes that the tensors took. */
  readonly peakBytes: number;
}

/** Steps over which a round's rate rises. */
const WARMUP_STEPS = 2;

/** Rejects with what `onStep` rejects with, with FedspineError when training diverges, and when `signal` is aborted. */
export async function runLocalRound(options: LocalRoundOptions): Promise<LocalRound> {
  const { adapted, plan, sequences, shuffleSeed, recompute, scoring, onStep, signal } = options;
  const { engine } = adapted.model;
  const selfPruning =
    plan.selfPruning === null ? null : new SelfPruning(adapted.lora.parameters(), plan.selfPruning);
  let importance = 0;
  const tuner = new FineTuner(adapted.model, trainedParameters(adapted, plan), sequences, {
    ...FINE_TUNE_DEFAULTS,
    steps: plan.steps,
    batchSize: plan.batchSize,
    peakRate: plan.learningRate,
    // The coordinator lowers the rate from round to round; within one it stays.
    schedule: "constant",
    // Fresh AdamW moments make the first updates of a round full-sized whatever the gradient.
    warmupSteps: Math.min(WARMUP_STEPS, plan.steps - 1),
    seed: plan.seed,
    shuffleSeed,
    recompute,
    afterBackward: (tape) => scoring?.afterBackward(tape),
    beforeUpdate: (trained) => {
      // What is measured is the loss alone, before self-pruning adds to its gradient.
      scoring?.beforeUpdate(trained);
      importance += firstOrderImportance(adapted, trained);
      selfPruning?.addGradients(trained);
    },
  });
  const losses: number[] = [];
  let peakBytes = 0;
  scoring?.begin();
  try {
    while (!tuner.isDone) {
      signal.throwIfAborted();
      const { loss } = tuner.step();
      losses.push(loss);
      const { weights, state, stepPeak } = engine.stats;
      peakBytes = Math.max(peakBytes, weights + state + stepPeak);
      await onStep(tuner.stepCount, loss);
    }
    const isCut = selfPruning !== null && selfPruning.hasGivenWay;
    const rank = isCut ? selfPruning.rank : plan.rank;
    const values = adapted.export();
    return {
      values: rank < plan.rank ? firstDirections(values, rank) : values,
      rank,
      lossFirst: losses[0] ?? 0,
      lossLast: losses.at(-1) ?? 0,
      steps: tuner.stepCount,
      importance: importance / Math.max(1, tuner.stepCount),
      peakBytes,
    };
  } finally {
    scoring?.end();
    tuner.dispose();
  }
}

function firstOrderImportance(adapted: AdaptedModel, trained: readonly TrainedTensor[]): number {
  const { dotF32 } = adapted.model.engine.kernels;
  const factors = new Set(adapted.lora.parameters().map(({ name }) => name));
  return trained.reduce(
    (sum, { name, tensor, gradient }) =>
      factors.has(name) ? sum + Math.abs(dotF32(tensor.ptr, gradient.ptr, tensor.size)) : sum,
    0,
  );
}
