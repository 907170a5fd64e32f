/** Adds up over a run what each device did. */
import type { ReceivedUpdate } from "./round-results.ts";
import type { DeviceSummary } from "./run-events.ts";
import type { TrafficTally } from "./tallies.ts";

type Totals = {
  -readonly [
    key in Exclude<keyof DeviceSummary, "id" | "bytesUp" | "bytesDown" | "speedUp">
  ]: DeviceSummary[key];
} & { firstStepMs: number; lastStepMs: number };

export class Ledger {
  readonly #traffic: TrafficTally;
  readonly #totals = new Map<string, Totals>();

  constructor(traffic: TrafficTally) {
    this.#traffic = traffic;
  }

  joined(device: string, type: string): void {
    const totals = this.#totals.get(device);
    if (totals !== undefined) totals.type = type;
    else this.#totals.set(device, newTotals(type));
  }

  /** An update that counts. */
  contributed(device: string, { report, uploadMs, rank, sparsity }: ReceivedUpdate): void {
    const totals = this.#totals.get(device) ?? newTotals("");
    const isFirst = totals.rounds === 0;
    totals.rounds += 1;
    totals.numSamples = report.numSamples;
    totals.steps += report.steps;
    totals.trainMs += report.trainMs;
    totals.downloadMs += report.downloadMs;
    totals.uploadMs += uploadMs;
    totals.peakBytes = Math.max(totals.peakBytes, report.peakBytes);
    if (isFirst) totals.firstPeakBytes = report.peakBytes;
    totals.lastPeakBytes = report.peakBytes;
    totals.residentBytes = Math.max(totals.residentBytes, report.residentBytes);
    totals.rank = rank;
    totals.sparsity = sparsity;
    if (isFirst) totals.firstStepMs = report.stepMs;
    totals.lastStepMs = report.stepMs;
    this.#totals.set(device, totals);
  }

  summary(): DeviceSummary[] {
    return [...this.#totals]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, { firstStepMs, lastStepMs, ...totals }]) => {
        const { up, down } = this.#traffic.of(id);
        const speedUp = lastStepMs > 0 ? firstStepMs / lastStepMs : 1;
        return { id, ...totals, speedUp, bytesUp: up, bytesDown: down };
      });
  }
}

function newTotals(type: string): Totals {
  const times = { trainMs: 0, downloadMs: 0, uploadMs: 0, firstStepMs: 0, lastStepMs: 0 };
  const memory = { peakBytes: 0, firstPeakBytes: 0, lastPeakBytes: 0, residentBytes: 0 };
  return { type, rounds: 0, numSamples: 0, steps: 0, ...times, ...memory, rank: 0, sparsity: 0 };
}
