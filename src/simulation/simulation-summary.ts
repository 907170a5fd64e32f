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

/** What is known before and after a round. */
type AroundRound = Pick<SimulationState, "devices" | "totals">;

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

  record(before: AroundRound, after: AroundRound): RoundRecord {
    const gflopsOf = ({ devices }: AroundRound): number =>
      Object.values(devices).reduce((sum, { gflops }) => sum + gflops, 0);
    const bytes = (key: "bytesUp" | "bytesDown"): number =>
      [before, after]
        .map(({ totals }) => Object.values(totals).reduce((sum, each) => sum + each[key], 0))
        .reduce((earlier, later) => later - earlier);
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

/** Collects the rounds of a run in which they overlap; bytes are those of the updates that came and of what they were trained from. */
export class VersionTally {
  readonly rounds: RoundRecord[] = [];
  #gflops = 0;
  #updates = 0;
  #bytesUp = 0;
  #bytesDown = 0;

  add(atMs: number, event: RunEvent, gflops: () => number): void {
    if (event.kind === "update-received") {
      this.#bytesUp += event.updateBytes;
      this.#bytesDown += event.bytesDown;
    }
    if (event.kind === "aggregated") this.#updates = event.devices.length;
    if (event.kind !== "round-finished") return;
    const { round, durationMs, waitingMs } = event;
    const before = this.#gflops;
    this.#gflops = gflops();
    const bytes = { bytesUp: this.#bytesUp, bytesDown: this.#bytesDown };
    const times = { startMs: Math.max(0, atMs - durationMs), durationMs, waitingMs };
    this.rounds.push({
      ...{ round, ...times, updates: this.#updates, gflops: this.#gflops - before, ...bytes },
    });
    this.#bytesUp = 0;
    this.#bytesDown = 0;
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

/** The sums over the run that a simulation keeps. */
export function totalsOf(devices: RunSummary["devices"]): Record<string, DeviceTotals> {
  const keys = Object.keys(NOTHING) as (keyof DeviceTotals)[];
  return Object.fromEntries(
    devices.map((device) => {
      const entries = keys.map((key) => [key, device[key]]);
      return [device.id, Object.fromEntries(entries) as DeviceTotals];
    }),
  );
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
