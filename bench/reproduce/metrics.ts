/** Numbers to compare runs by: means over seeds with their spread, and what it costs to reach a target. */
import type { Trace, TracePoint } from "./trace.ts";

export interface Summary {
  readonly mean: number;
  /** Standard deviation over the seeds with n - 1; 0 for one seed. */
  readonly sd: number;
  readonly n: number;
}

/** null for no values. */
export function summaryOf(values: readonly number[]): Summary | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : 0, n };
}

/** Scores that the smoothing looks back over: single ones jump by more than methods differ. */
const WINDOW = 3;

/** Each accuracy replaced by the mean of itself and the scores before it, {@link WINDOW} in all; round 0 stays out of it. */
export function smoothed(points: readonly TracePoint[]): TracePoint[] {
  return points.map((point, i) => {
    if (point.round === 0) return point;
    const from = Math.max(0, i - WINDOW + 1);
    const seen = points.slice(from, i + 1).filter(({ round }) => round > 0);
    const accuracy = seen.reduce((sum, other) => sum + other.accuracy, 0) / seen.length;
    return { ...point, accuracy };
  });
}

/** Of the last score, which covers all devices. */
export function finalOf({ points }: Trace): TracePoint | null {
  return points.at(-1) ?? null;
}

/** The lowest mean final accuracy of the compared rows, on smoothed curves: what all of them reach. null without results. */
export function targetOf(rows: readonly (readonly Trace[])[]): number | null {
  const finals = rows.flatMap((traces) => {
    const ends = traces.flatMap(({ points }) => smoothed(points).at(-1)?.accuracy ?? []);
    return summaryOf(ends)?.mean ?? [];
  });
  return finals.length === 0 ? null : Math.min(...finals);
}

export type Cost = "timeMs" | "bytes" | "gflop";

/**
 * Cost from which on the smoothed curve stays at or above the target, between two scores by a straight line; null when it ends
 * below. The first time above would be luck where curves still jump.
 */
export function costTo({ points }: Trace, target: number, cost: Cost): number | null {
  const curve = smoothed(points);
  const i = curve.findLastIndex(({ accuracy }) => accuracy < target);
  const [before, after] = [curve[i], curve[i + 1]];
  if (after === undefined) return null;
  if (before === undefined) return after[cost];
  const share = (target - before.accuracy) / (after.accuracy - before.accuracy);
  return before[cost] + share * (after[cost] - before[cost]);
}

/** Everything that a table says about one row. */
export interface RowMetrics {
  readonly accuracy: Summary | null;
  readonly worst: Summary | null;
  readonly sparsity: Summary | null;
  readonly waitingMs: Summary | null;
  readonly roundMs: Summary | null;
  /** Over the seeds that reached the target. */
  readonly toTarget: Readonly<Record<Cost, Summary | null>>;
  readonly numReached: number;
  readonly numSeeds: number;
}

export function rowMetrics(traces: readonly Trace[], target: number | null): RowMetrics {
  const ends = traces.flatMap((trace) => finalOf(trace) ?? []);
  const to = (cost: Cost): number[] =>
    target === null ? [] : traces.flatMap((trace) => costTo(trace, target, cost) ?? []);
  return {
    accuracy: summaryOf(ends.map(({ accuracy }) => accuracy)),
    worst: summaryOf(ends.map(({ worst }) => worst)),
    sparsity: summaryOf(traces.map(({ sparsity }) => sparsity)),
    waitingMs: summaryOf(traces.map(({ waitingMs }) => waitingMs)),
    roundMs: summaryOf(traces.map(({ roundMs }) => roundMs)),
    toTarget: {
      timeMs: summaryOf(to("timeMs")),
      bytes: summaryOf(to("bytes")),
      gflop: summaryOf(to("gflop")),
    },
    numReached: to("timeMs").length,
    numSeeds: traces.length,
  };
}
