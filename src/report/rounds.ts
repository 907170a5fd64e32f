/** What happened in each round, from the events of a run. */
import type { LoggedEvent } from "./run-record.ts";

type UpdateEvent = Extract<LoggedEvent, { kind: "update-received" }>;

/** One device's part in one round. */
export interface RoundUpdate extends UpdateEvent {
  /** Download, training and upload. */
  readonly completionMs: number;
  /** From its end to the end of the round's last device. */
  readonly waitingMs: number;
}

export interface RoundFacts {
  readonly round: number;
  /** Since the start of the run, without the time between a stop and the restart after it. */
  readonly startMs: number;
  /** When it was merged; null when it was not. */
  readonly endMs: number | null;
  readonly attempts: number;
  readonly asked: readonly string[];
  readonly updates: readonly RoundUpdate[];
  readonly discardedEnergy: number | null;
  /** Versions made since those that its updates were trained from; 0 where devices wait for each other. */
  readonly meanStaleness: number;
}

/** Quality at one time; round 0 is before training. */
export interface Score {
  readonly round: number;
  readonly atMs: number;
  readonly accuracy: number;
  readonly loss: number;
  readonly macroF1: number;
  /** The pruned device whose own model scores lowest; null while no device is pruned. */
  readonly worst: { readonly device: string; readonly accuracy: number } | null;
}

export interface RunFacts {
  readonly fleet: string;
  readonly numRounds: number;
  /** Ascending, without gaps where rounds are missing. */
  readonly rounds: readonly RoundFacts[];
  readonly scores: readonly Score[];
  /** Until the last event. */
  readonly durationMs: number;
  /** null while the run goes on, or when it was killed. */
  readonly end: { readonly ok: boolean; readonly reason: string } | null;
  readonly restarts: number;
}

interface OpenRound extends Omit<RoundFacts, "updates"> {
  readonly updates: Map<string, UpdateEvent>;
}

/** Folds events into rounds; what a restart did again replaces what was there before. */
export function runFacts(events: readonly LoggedEvent[]): RunFacts {
  const rounds = new Map<number, OpenRound>();
  const scores = new Map<number, Score>();
  const shared = { fleet: "", numRounds: 0, restarts: 0 };
  let end: RunFacts["end"] = null;
  let offsetMs = -(events[0]?.at ?? 0);
  let lastMs = 0;
  for (const event of events) {
    if (event.kind === "run-started") {
      end = null;
      shared.fleet = event.fleet;
      shared.numRounds = event.rounds;
      if (event.resumedRound !== null) {
        shared.restarts++;
        offsetMs = lastMs - event.at;
        forgetAfter(rounds, event.resumedRound);
        forgetAfter(scores, event.resumedRound);
      }
    }
    lastMs = Math.max(lastMs, event.at + offsetMs);
    if (event.kind === "finished") end = { ok: event.ok, reason: event.reason };
    if (event.kind === "evaluated") {
      const { round, accuracy, loss, macroF1, worst } = event;
      scores.set(round, { round, atMs: lastMs, accuracy, loss, macroF1, worst: worst ?? null });
    } else {
      addToRound(rounds, event, lastMs);
    }
  }
  const inOrder = <T extends { round: number }>(items: Map<number, T>): T[] =>
    [...items.values()].sort((a, b) => a.round - b.round);
  return {
    ...shared,
    rounds: inOrder(rounds).map((round) => ({ ...round, updates: withTimes(round.updates) })),
    scores: inOrder(scores),
    durationMs: lastMs,
    end,
  };
}

function forgetAfter(items: Map<number, unknown>, last: number): void {
  for (const round of items.keys()) if (round > last) items.delete(round);
}

function addToRound(rounds: Map<number, OpenRound>, event: LoggedEvent, atMs: number): void {
  switch (event.kind) {
    case "round-started": {
      const before = rounds.get(event.round);
      rounds.set(event.round, {
        round: event.round,
        startMs: before?.startMs ?? atMs,
        endMs: null,
        attempts: event.attempt,
        asked: [...new Set([...(before?.asked ?? []), ...event.devices])],
        updates: before?.updates ?? new Map<string, UpdateEvent>(),
        discardedEnergy: null,
        meanStaleness: 0,
      });
      return;
    }
    case "update-received":
      rounds.get(event.round)?.updates.set(event.device, event);
      return;
    case "aggregated": {
      const { round, discardedEnergy, meanStaleness } = event;
      const open = rounds.get(round);
      const merged = { endMs: atMs, discardedEnergy, meanStaleness };
      if (open !== undefined) rounds.set(round, { ...open, ...merged });
      return;
    }
    default:
  }
}

/** T_i is download, training and upload; a device waits max T - T_i, as in the waiting time of FedMP and its kin. */
function withTimes(updates: ReadonlyMap<string, UpdateEvent>): RoundUpdate[] {
  const timed = [...updates.values()].map((update) => ({
    ...update,
    completionMs: update.downloadMs + update.trainMs + update.uploadMs,
  }));
  const slowestMs = Math.max(0, ...timed.map(({ completionMs }) => completionMs));
  return timed.map((update) => ({ ...update, waitingMs: slowestMs - update.completionMs }));
}

/** Mean of a number over a round's updates; null when there are none, or when one lacks it. */
export function meanOf(
  updates: readonly RoundUpdate[],
  value: (update: RoundUpdate) => number | undefined,
): number | null {
  const values = updates.map(value);
  if (values.length === 0) return null;
  let sum = 0;
  for (const number of values) {
    if (number === undefined) return null;
    sum += number;
  }
  return sum / values.length;
}
