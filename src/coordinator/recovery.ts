/** Puts a coordinator back to where the record of its run says that it was: the round, what was decided, and the updates that count. */
import type { Controller } from "../strategies/controllers/controller.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { restoredRound } from "./durable-round.ts";
import type { Roster } from "./roster.ts";
import type { RoundState } from "./round-state.ts";
import type { RoundResults } from "./round-results.ts";
import type { RunEvent } from "./run-events.ts";
import type { AcceptedRecord, RunRecord } from "./run-record.ts";
import type { Steering } from "./steering.ts";
import type { UpdateInbox } from "./update-inbox.ts";

export interface RecoveryParts {
  /** Whether rounds overlap. */
  readonly overlaps: boolean;
  readonly controller: Controller;
  readonly store: BlobStore;
  readonly inbox: UpdateInbox;
  readonly roster: Roster;
  readonly steering: Steering;
  readonly results: RoundResults;
  readonly tell: (event: RunEvent) => void;
}

export interface Recovered {
  readonly state: RoundState;
  /** Time that the phase under way has had already. */
  readonly elapsedMs: number;
}

/** The devices that were asked count as present until their leases are over: they are told to go on as soon as they say hello. */
export async function recover(record: RunRecord, parts: RecoveryParts): Promise<Recovered> {
  const { decided, phaseMs, lastMs } = record;
  const { controller, steering, roster, results, overlaps, tell } = parts;
  if (decided !== null) {
    controller.restore(decided.controller);
    steering.restore(decided.choices);
    for (const [device, profile] of Object.entries(decided.profiles)) {
      roster.expect(device, profile);
    }
    results.begin(decided.attempt, phaseMs);
  }
  const restored = restoredRound(record.round, Object.keys(decided?.profiles ?? {}));
  const tasks = new Map(restored.tasks);
  const updates = new Map<string, AcceptedRecord>();
  for (const [device, update] of Object.entries(record.updates).sort(byId)) {
    const detail = await readAgain(device, update, parts);
    if (detail === null) {
      updates.set(device, update);
      continue;
    }
    tasks.set(device, { status: "asked" });
    tell({ kind: "update-lost", round: update.round, device, detail });
  }
  const state = { ...restored, tasks };
  const elapsedMs = Math.max(0, lastMs - phaseMs);
  return { state: overlaps ? overlapping(state, updates) : state, elapsedMs };
}

/**
 * Where rounds overlap, the updates that were being merged go back into the buffer, and who was at work on an adapter that is not kept
 * any more is asked anew.
 */
function overlapping(state: RoundState, updates: ReadonlyMap<string, AcceptedRecord>): RoundState {
  const before = state.started ?? new Map<string, number>();
  const tasks = new Map([...state.tasks].filter(([device]) => before.get(device) === state.round));
  const started = new Map([...before].filter(([device]) => tasks.has(device)));
  for (const [device, { round }] of updates) {
    tasks.set(device, { status: "done" });
    started.set(device, round);
  }
  const phase = state.phase === "aggregating" ? "training" : state.phase;
  return { ...state, phase, tasks, started };
}

/** null, or what is wrong with the blob of an update that counts. */
async function readAgain(
  device: string,
  update: AcceptedRecord,
  { store, inbox, steering, results }: RecoveryParts,
): Promise<string | null> {
  const { root, sizeBytes, round, report, uploadMs } = update;
  if (!(await store.has(root))) return "its file is gone";
  const { numSamples } = report;
  const expected = steering.expectationOf(device);
  const verdict = await inbox.fetch({
    ...{ device, round, blob: { root, sizeBytes }, numSamples, expected },
  });
  if (verdict.kind !== "received") return verdict.detail;
  const { structure, sparsity, rank } = verdict.update;
  results.add(device, { report, uploadMs, structure, sparsity, rank });
  return null;
}

function byId([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
