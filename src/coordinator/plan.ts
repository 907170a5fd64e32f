/** What a device is asked to train in a round, out of the settings and what was chosen for it. */
import { Rng } from "../base/rng.ts";
import type { PruningPlan, TrainPlan } from "../protocol/messages.ts";
import type { Choice } from "../strategies/controllers/controller.ts";
import type { CoordinatorConfig } from "./config.ts";
import { type PruningConfig, aggregatorOf } from "./strategy-config.ts";

/** Seed and learning rate are alike on all devices: one differs from round to round, the other goes down in equal steps. */
export function planOf(config: CoordinatorConfig, round: number, choice: Choice): TrainPlan {
  const { plan, labels, seed, rounds, pruning, selfPruning } = config;
  const { lastRateShare, ...rest } = plan;
  const { devicesMerge = false, trainsA = true } = aggregatorOf(config);
  const progress = rounds > 1 ? Math.min(1, (round - 1) / (rounds - 1)) : 0;
  return {
    ...rest,
    labels,
    rank: choice.rank,
    alpha: choice.rank * scaleOf(config),
    learningRate: plan.learningRate * (1 - progress * (1 - lastRateShare)),
    seed: Rng.fromSeed(`${seed}/plan/${round}`).nextUint32(),
    pruning: pruning === null ? null : pruningPlan(pruning, choice.sparsity),
    start: devicesMerge ? "merge" : "continue",
    trainA: trainsA,
    selfPruning,
  };
}

/** alpha / R, the same for every rank. */
export function scaleOf({ plan }: Pick<CoordinatorConfig, "plan">): number {
  return plan.alpha / plan.rank;
}

function pruningPlan(
  { score, decay, blend, guard, minFfnShare, isReversible }: PruningConfig,
  sparsity: number,
): PruningPlan {
  return { sparsity, score, decay, blend, guard, minFfnShare, isReversible };
}
