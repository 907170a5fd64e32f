/** What a simulation saves after each round, so that it can go on from there. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { CheckpointError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { readRunRecord, rewindRun, takeUnsynced } from "../coordinator/run-journal.ts";
import { readJson, writeJson } from "../io/json.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

const deviceSchema = v.object({
  /** Whether it has fetched the base. */
  hasBase: v.boolean(),
  /** Billions of operations of all its training. */
  gflops: amount,
  /** What its trainer keeps, in base 64. */
  memory: v.nullable(v.string()),
});

const totalsSchema = v.object({
  rounds: count,
  steps: count,
  trainMs: amount,
  downloadMs: amount,
  uploadMs: amount,
  bytesUp: count,
  bytesDown: count,
});

const roundSchema = v.object({
  round: count,
  /** When it began, in virtual time. */
  startMs: amount,
  /** From the first command to the last update. */
  durationMs: amount,
  /** Mean over the devices of the longest device's time less their own. */
  waitingMs: amount,
  /** Devices whose updates count. */
  updates: count,
  /** Billions of operations of all training that came to its end. */
  gflops: amount,
  bytesUp: count,
  bytesDown: count,
});

const stateSchema = v.object({
  round: count,
  nowMs: amount,
  /** Of the coordinator, as its journal had it then. */
  identity: v.object({ run: v.string(), epoch: count }),
  /** Where the log of events ends, and who had joined. */
  log: v.object({ sizeBytes: count, present: v.array(v.string()) }),
  devices: v.record(v.string(), deviceSchema),
  /** Sums over the rounds, by device. */
  totals: v.record(v.string(), totalsSchema),
  rounds: v.array(roundSchema),
  dropped: v.record(v.string(), count),
  numEvents: count,
});

/** What a simulated device keeps from round to round. */
export type DeviceState = v.InferOutput<typeof deviceSchema>;
/** One round as a whole. */
export type RoundRecord = v.InferOutput<typeof roundSchema>;
/** What a device has done so far. */
export type DeviceTotals = v.InferOutput<typeof totalsSchema>;
export type SimulationState = v.InferOutput<typeof stateSchema>;

export const newDeviceState: DeviceState = { hasBase: false, gflops: 0, memory: null };

export const newState: SimulationState = {
  round: 0,
  nowMs: 0,
  identity: { run: "", epoch: 0 },
  log: { sizeBytes: 0, present: [] },
  devices: {},
  totals: {},
  rounds: [],
  dropped: {},
  numEvents: 0,
};

export function saveState(folder: string, state: SimulationState): void {
  writeJson(join(folder, STATE_FILE), state);
}

/**
 * Puts the folder back to where its last round was saved, or to the start when none was. Throws CheckpointError when the state is
 * damaged, or when the process died in the moment between the coordinator's checkpoint and this state.
 */
export function loadState(folder: string): SimulationState {
  const path = join(folder, STATE_FILE);
  if (!existsSync(path)) {
    rmSync(join(folder, "journal"), { recursive: true, force: true });
    return newState;
  }
  const state = parseSettings(path, stateSchema, readJson(path));
  const round = readRunRecord(folder)?.checkpoint?.round;
  if (round !== state.round) {
    throw new CheckpointError(`${folder}: checkpoint and simulation do not belong together`, {
      expected: `the checkpoint of round ${state.round}`,
      got: `round ${round ?? "none"}`,
      hint: "the simulation died while it was saving; start it anew",
    });
  }
  // A round that was broken off has counted the coordinator's incarnation up, and messages name it.
  rewindRun(folder, state.identity.epoch, takeUnsynced);
  return state;
}

const STATE_FILE = "simulation-state.json";
