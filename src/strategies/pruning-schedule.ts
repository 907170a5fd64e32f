/** When the fleet prunes: the ramp of sparsity over the rounds, and how far a device may stand off it. */
import { number, oneOf, options } from "./plain-shapes.ts";

export interface PruningSchedule {
  /** Cumulative sparsity of the body at the end, in [0, 1). */
  readonly final: number;
  /** Share of the rounds at the start in which nobody prunes: scores need a few rounds to mean something. */
  readonly warmupShare: number;
  /** Share of the rounds at the end in which everybody has reached `final` and recovers. */
  readonly cooldownShare: number;
  /** "cubic": many small steps, the large ones first (Zhu and Gupta 2017). "once": all in the first round after the warm-up. */
  readonly shape: "cubic" | "once";
  /** Sparsity that one round may add, unless the end could not be reached otherwise. */
  readonly maxStep: number;
  /** How far from the ramp a device may stand; shrinks to 0 where the ramp ends. */
  readonly slack: number;
}

/** Where a device's sparsity may lie after a round. */
export interface Corridor {
  readonly min: number;
  readonly max: number;
  /** The ramp itself, the same for every device. */
  readonly reference: number;
}

const share = number(0, 1);
const readSchedule = options(
  {
    final: number(0, 0.99),
    warmupShare: share,
    cooldownShare: share,
    shape: oneOf("cubic", "once"),
    maxStep: number(0.001, 1),
    slack: share,
  },
  { final: 0, warmupShare: 0.1, cooldownShare: 0.2, shape: "cubic", maxStep: 0.1, slack: 0.1 },
  "the pruning schedule",
);

/** A schedule with its defaults filled in. Throws ConfigError for an unknown key or a value out of range. */
export function pruningSchedule(
  settings: Partial<PruningSchedule> & Pick<PruningSchedule, "final">,
): PruningSchedule {
  return readSchedule(settings);
}

/**
 * Bounds of the cumulative sparsity in `round` (1..rounds) for a device that has reached `reached`. Never below it; a device
 * that takes part once the ramp has ended gets exactly `final`, however large the step, unless it is beyond already.
 */
export function corridor(
  schedule: PruningSchedule,
  round: number,
  rounds: number,
  reached: number,
): Corridor {
  const { final, maxStep } = schedule;
  const { start, end } = ramp(schedule, rounds);
  const left = 1 - clamp((round - start) / (end - start), 0, 1);
  const reference = final * (1 - left ** 3);
  if (round <= start || reached >= final) return { min: reached, max: reached, reference };

  const roundsLeft = Math.max(1, end - round + 1);
  // Who missed rounds catches up in equal steps rather than in one at the end.
  const step = Math.max(maxStep, (final - reached) / roundsLeft);
  const reachable = roundsLeft === 1 ? final : Math.min(final, reached + step);
  const slack = schedule.slack * left;
  const max = clamp(reference + slack, reached, reachable);
  const min = clamp(reference - slack, reached, max);
  return { min, max, reference };
}

/** The last round without pruning and the round in which the ramp reaches its end. */
function ramp(schedule: PruningSchedule, rounds: number): { start: number; end: number } {
  const cooled = Math.max(1, rounds - Math.round(rounds * schedule.cooldownShare));
  const start = Math.min(Math.round(rounds * schedule.warmupShare), cooled - 1);
  return { start, end: schedule.shape === "once" ? start + 1 : cooled };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
