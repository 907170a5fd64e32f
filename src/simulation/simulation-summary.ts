/** The record that a simulation leaves at its end. */
import type { Evaluation, RunEvent, RunSummary } from "../coordinator/run-events.ts";
import type { FinalModels } from "./final-models.ts";
import type { SimulatedMachine } from "./profiles.ts";
import type { DeviceTotals, RoundRecord, SimulationState } from "./simulation-state.ts";

export interface SimulatedDeviceSummary extends DeviceTotals {
  readonly id: string;
  readonly type: string;
  readonly link: string;
  readonly gflops: number;
  /** Quality of the global adapter on this device's own model at the final sparsity; null without pruning. */
  readonly final: FinalModels["devices"][string] | null;
}

/** Collects what the events of one round say of it as a whole. */
export class RoundTally {
  readonly #round: number;
  readonly #startMs: number;
  #durationMs = 0;
  #waitingMs = 0;
  #updates = 0;

  constructor(round: number, startMs: number) {
    this.#round = round;
    this.#startMs = startMs;
  }

  add(event: RunEvent): void {
    if (event.kind === "aggregated") this.#updates = event.devices.length;
    if (event.kind !== "round-finished") return;
    this.#durationMs = event.durationMs;
    this.#waitingMs = event.waitingMs;
  }

  /** `before` and `after` are the devices' states around the round. */
  record(
    { devices }: RunSummary,
    before: SimulationState["devices"],
    after: SimulationState["devices"],
  ): RoundRecord {
    const gflopsOf = (states: SimulationState["devices"]): number =>
      Object.values(states).reduce((sum, { gflops }) => sum + gflops, 0);
    const bytes = (key: "bytesUp" | "bytesDown"): number =>
      devices.reduce((sum, device) => sum + device[key], 0);
    return {
      round: this.#round,
      startMs: this.#startMs,
      durationMs: this.#durationMs,
      waitingMs: this.#waitingMs,
      updates: this.#updates,
      gflops: gflopsOf(after) - gflopsOf(before),
      bytesUp: bytes("bytesUp"),
      bytesDown: bytes("bytesDown"),
    };
  }
}

export interface SimulationSummary {
  readonly ok: boolean;
  readonly reason: string;
  readonly rounds: number;
  readonly before: Evaluation | null;
  readonly after: Evaluation | null;
  /** On all devices' models, pruned to the final sparsity; null without pruning. */
  readonly final: (Required<Evaluation> & { readonly meanSparsity: number }) | null;
  /** Simulated. */
  readonly durationMs: number;
  readonly perRound: readonly RoundRecord[];
  readonly devices: readonly SimulatedDeviceSummary[];
  readonly total: { readonly gflops: number; readonly bytesUp: number; readonly bytesDown: number };
  readonly dropped: Readonly<Record<string, number>>;
  /** Timers that fired: what the simulation had to work through. */
  readonly numEvents: number;
}

const NOTHING: DeviceTotals = {
  rounds: 0,
  steps: 0,
  trainMs: 0,
  downloadMs: 0,
  uploadMs: 0,
  bytesUp: 0,
  bytesDown: 0,
};

/** Adds what a round's processes counted. */
export function addTotals(
  totals: Readonly<Record<string, DeviceTotals>>,
  devices: RunSummary["devices"],
): Record<string, DeviceTotals> {
  const sums = { ...totals };
  const keys = Object.keys(NOTHING) as (keyof DeviceTotals)[];
  for (const device of devices) {
    const before = sums[device.id] ?? NOTHING;
    const entries = keys.map((key) => [key, before[key] + device[key]]);
    sums[device.id] = Object.fromEntries(entries) as DeviceTotals;
  }
  return sums;
}

export function addCounts(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sums = { ...a };
  for (const [key, count] of Object.entries(b)) sums[key] = (sums[key] ?? 0) + count;
  return sums;
}

export function summarize(
  {
    run,
    state,
    final,
  }: {
    readonly run: RunSummary;
    readonly state: SimulationState;
    readonly final: FinalModels | null;
  },
  machines: readonly SimulatedMachine[],
): SimulationSummary {
  const devices = machines.map(({ id, board, link }) => ({
    id,
    type: board.type,
    link: link.name,
    gflops: state.devices[id]?.gflops ?? 0,
    ...(state.totals[id] ?? NOTHING),
    final: final?.devices[id] ?? null,
  }));
  const sum = (key: "gflops" | "bytesUp" | "bytesDown"): number =>
    devices.reduce((total, device) => total + device[key], 0);
  const { ok, reason, rounds, before, after } = run;
  return {
    ...{ ok, reason, rounds, before, after },
    final: final === null ? null : fleetPart(final),
    durationMs: state.nowMs,
    total: { gflops: sum("gflops"), bytesUp: sum("bytesUp"), bytesDown: sum("bytesDown") },
    dropped: state.dropped,
    numEvents: state.numEvents,
    perRound: state.rounds,
    devices,
  };
}

function fleetPart({ devices: _, ...fleet }: FinalModels): SimulationSummary["final"] {
  return fleet;
}
