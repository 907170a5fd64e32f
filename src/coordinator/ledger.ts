/** Adds up over a run what each device did. */
import type { DeviceReport } from "../protocol/messages.ts";
import type { DeviceSummary } from "./run-events.ts";
import type { TrafficTally } from "./tallies.ts";

type Totals = {
  -readonly [
    key in Exclude<keyof DeviceSummary, "id" | "bytesUp" | "bytesDown">
  ]: DeviceSummary[key];
};

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
  contributed(device: string, report: DeviceReport, uploadMs: number): void {
    const totals = this.#totals.get(device) ?? newTotals("");
    totals.rounds += 1;
    totals.numSamples = report.numSamples;
    totals.steps += report.steps;
    totals.trainMs += report.trainMs;
    totals.downloadMs += report.downloadMs;
    totals.uploadMs += uploadMs;
    totals.peakBytes = Math.max(totals.peakBytes, report.peakBytes);
    totals.residentBytes = Math.max(totals.residentBytes, report.residentBytes);
    this.#totals.set(device, totals);
  }

  summary(): DeviceSummary[] {
    return [...this.#totals]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, totals]) => {
        const { up, down } = this.#traffic.of(id);
        return { id, ...totals, bytesUp: up, bytesDown: down };
      });
  }
}

function newTotals(type: string): Totals {
  const times = { trainMs: 0, downloadMs: 0, uploadMs: 0 };
  return { type, rounds: 0, numSamples: 0, steps: 0, ...times, peakBytes: 0, residentBytes: 0 };
}
