/** What a simulation saves after each round, so that it can go on from there. */
import { existsSync } from "node:fs";
import * as v from "valibot";
import { CheckpointError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { readJson, writeJson } from "../io/json.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

const deviceSchema = v.object({
  /** Whether it has fetched the base. */
  hasBase: v.boolean(),
  /** Billions of operations of all its training. */
  gflops: amount,
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

const stateSchema = v.object({
  round: count,
  nowMs: amount,
  /** Where the log of events ends, and who had joined. */
  log: v.object({ sizeBytes: count, present: v.array(v.string()) }),
  devices: v.record(v.string(), deviceSchema),
  /** Sums over the rounds, by device. */
  totals: v.record(v.string(), totalsSchema),
  dropped: v.record(v.string(), count),
  numEvents: count,
});

/** What a simulated device keeps from round to round. */
export type DeviceState = v.InferOutput<typeof deviceSchema>;
/** What a device has done so far. */
export type DeviceTotals = v.InferOutput<typeof totalsSchema>;
export type SimulationState = v.InferOutput<typeof stateSchema>;

export const newDeviceState: DeviceState = { hasBase: false, gflops: 0 };

export const newState: SimulationState = {
  round: 0,
  nowMs: 0,
  log: { sizeBytes: 0, present: [] },
  devices: {},
  totals: {},
  dropped: {},
  numEvents: 0,
};

export function saveState(path: string, state: SimulationState): void {
  writeJson(path, state);
}

/** Throws CheckpointError when there is none, or a damaged one. */
export function loadState(path: string): SimulationState {
  if (existsSync(path)) return parseSettings(path, stateSchema, readJson(path));
  throw new CheckpointError(`${path} is missing`, {
    hint: "the folder holds no simulation that has finished a round; start it anew",
  });
}
