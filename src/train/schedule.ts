/** Learning rate over steps: linear warm-up, then constant, linear or cosine decay to zero. */

export const SCHEDULES = ["constant", "linear", "cosine"] as const;
export type ScheduleKind = (typeof SCHEDULES)[number];

export interface Schedule {
  readonly kind: ScheduleKind;
  readonly peakRate: number;
  /** Steps over which the rate rises from peak / warmupSteps to the peak. */
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/** The rate of a step counted from 0. */
export function learningRate(schedule: Schedule, step: number): number {
  const { kind, peakRate, warmupSteps, totalSteps } = schedule;
  if (step < warmupSteps) return (peakRate * (step + 1)) / warmupSteps;
  if (kind === "constant") return peakRate;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return peakRate * (kind === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress)));
}
