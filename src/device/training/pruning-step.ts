/** The pruning that opens a round: whether it is due, what the guard says, and which units go. */
import type { ModelShape } from "../../base/model-shape.ts";
import type { Structure } from "../../base/structure.ts";
import { blendScores, isDue, pruneTo } from "../../pruning/ranking.ts";
import type { UnitScores } from "../../pruning/unit-scores.ts";
import type { PruningPlan } from "../../protocol/messages.ts";
import { mayPrune, type GuardState } from "./guard.ts";

export interface PruningSituation {
  readonly plan: PruningPlan;
  readonly shape: ModelShape;
  /** What is left. */
  readonly structure: Structure;
  readonly guard: GuardState;
  readonly heldOutLoss: number | null;
  /** The device's own scores; called only when something is to go. */
  readonly ownScores: () => UnitScores;
  readonly fleetScores: UnitScores | null;
}

export interface PruningOutcome {
  readonly structure: Structure;
  readonly guard: GuardState;
  /** Whether the guard kept units that should have gone. */
  readonly isSkipped: boolean;
}

/** Cumulative: what is gone stays gone, and a target that is reached changes nothing. */
export function openRound(situation: PruningSituation): PruningOutcome {
  const { plan, shape, structure, guard, heldOutLoss, fleetScores } = situation;
  const { sparsity, minFfnShare, blend } = plan;
  if (!isDue({ shape, structure, sparsity })) return { structure, guard, isSkipped: false };
  if (!mayPrune(guard, heldOutLoss, plan.guard)) {
    return { structure, guard: { ...guard, hasSkipped: true }, isSkipped: true };
  }
  const own = situation.ownScores();
  const scores =
    fleetScores === null ? own : blendScores(own, fleetScores, blend, { shape, structure });
  return {
    structure: pruneTo({ shape, structure, scores, sparsity, minFfnShare }),
    guard: { lossBeforePruning: heldOutLoss, hasSkipped: false },
    isSkipped: false,
  };
}
