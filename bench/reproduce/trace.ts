/** What a run says about quality and cost, from its events: a curve over rounds and its ends. */
import type { RunEvent } from "../../src/coordinator/run-events.ts";

/** State after a round; costs add up from the start of the run, over all devices. */
export interface TracePoint {
  readonly round: number;
  /** Of the simulated fleet: from the first command of each round to its last update. */
  readonly timeMs: number;
  /** Of updates up, and of what was fetched for rounds down. */
  readonly bytes: number;
  /** Operations of training, as the cost model counts them. */
  readonly gflop: number;
  /** Mean over the scored devices' own models, and the lowest of them. */
  readonly accuracy: number;
  readonly worst: number;
}

export interface Trace {
  /** Only rounds that were scored, ascending; round 0 is before training. */
  readonly points: readonly TracePoint[];
  /** Mean over rounds of the mean waiting time of a device. */
  readonly waitingMs: number;
  /** Mean over rounds of the time of the slowest device. */
  readonly roundMs: number;
  /** Mean over devices that took part, of their last update; null where devices are not pruned. */
  readonly sparsity: number;
  readonly rounds: number;
  readonly ok: boolean;
  readonly reason: string;
}

/** Folds the events of a run. */
export function traceOf(events: readonly RunEvent[]): Trace {
  const perStep = new Map<string, number>();
  const costs = new Map<number, { bytes: number; gflop: number; timeMs: number }>();
  const costOf = (round: number): { bytes: number; gflop: number; timeMs: number } => {
    const cost = costs.get(round) ?? { bytes: 0, gflop: 0, timeMs: 0 };
    costs.set(round, cost);
    return cost;
  };
  const scores = new Map<number, { accuracy: number; worst: number }>();
  const sparsities = new Map<string, number>();
  const waits: number[] = [];
  const lengths: number[] = [];
  let end = { ok: false, reason: "the run did not end" };
  for (const event of events) {
    if (event.kind === "controller-decided") {
      perStep.set(`${event.round} ${event.device}`, event.gflopsPerStep);
    } else if (event.kind === "update-received") {
      const cost = costOf(event.round);
      cost.bytes += event.updateBytes + event.bytesDown;
      cost.gflop += event.steps * (perStep.get(`${event.round} ${event.device}`) ?? 0);
      sparsities.set(event.device, event.sparsity);
    } else if (event.kind === "round-finished") {
      costOf(event.round).timeMs = event.durationMs;
      waits.push(event.waitingMs);
      lengths.push(event.longestMs);
    } else if (event.kind === "evaluated") {
      const { round, accuracy, worst } = event;
      scores.set(round, { accuracy, worst: worst?.accuracy ?? accuracy });
    } else if (event.kind === "finished") {
      end = { ok: event.ok, reason: event.reason };
    }
  }
  return {
    points: curve(scores, costs),
    waitingMs: mean(waits),
    roundMs: mean(lengths),
    sparsity: mean([...sparsities.values()]),
    rounds: lengths.length,
    ...end,
  };
}

function curve(
  scores: ReadonlyMap<number, { accuracy: number; worst: number }>,
  costs: ReadonlyMap<number, { bytes: number; gflop: number; timeMs: number }>,
): TracePoint[] {
  const last = Math.max(0, ...scores.keys());
  const total = { timeMs: 0, bytes: 0, gflop: 0 };
  const points: TracePoint[] = [];
  for (let round = 0; round <= last; round++) {
    const cost = costs.get(round);
    total.timeMs += cost?.timeMs ?? 0;
    total.bytes += cost?.bytes ?? 0;
    total.gflop += cost?.gflop ?? 0;
    const score = scores.get(round);
    if (score !== undefined) points.push({ round, ...total, ...score });
  }
  return points;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
