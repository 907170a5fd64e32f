/** What came back in one round, over all its attempts, and how long everybody took. */
import type { Structure } from "../base/structure.ts";
import type { DeviceReport } from "../protocol/messages.ts";

/** An update that was taken; rank and sparsity are those of the file, whatever the report says. */
export interface ReceivedUpdate {
  readonly report: DeviceReport;
  readonly uploadMs: number;
  readonly structure: Structure;
  readonly sparsity: number;
  readonly rank: number;
}

/** Of a round; see the event "round-finished". */
export interface RoundTimes {
  readonly durationMs: number;
  readonly longestMs: number;
  readonly waitingMs: number;
}

export class RoundResults {
  readonly #received = new Map<string, ReceivedUpdate>();
  #startMs: number | null = null;
  #times: RoundTimes = { durationMs: 0, longestMs: 0, waitingMs: 0 };
  #attempts = 0;

  get attempts(): number {
    return this.#attempts;
  }

  get times(): RoundTimes {
    return this.#times;
  }

  /** Begins an attempt; of the round before only what was not closed with it is left. */
  begin(attempt: number, nowMs: number): void {
    if (attempt === 1 || this.#startMs === null) this.#startMs = nowMs;
    this.#attempts = attempt;
  }

  add(device: string, update: ReceivedUpdate): void {
    this.#received.set(device, update);
  }

  /** Fixes the times of the devices whose updates count, and returns what they sent. */
  close(devices: readonly string[], nowMs: number): ReadonlyMap<string, ReceivedUpdate> {
    const counted = new Map(
      devices.flatMap((device) => {
        const update = this.#received.get(device);
        return update === undefined ? [] : [[device, update] as const];
      }),
    );
    for (const device of counted.keys()) this.#received.delete(device);
    const times = [...counted.values()].map(completionMs);
    const longestMs = Math.max(0, ...times);
    const waited = times.reduce((sum, timeMs) => sum + longestMs - timeMs, 0);
    this.#times = {
      durationMs: nowMs - (this.#startMs ?? nowMs),
      longestMs,
      waitingMs: times.length === 0 ? 0 : waited / times.length,
    };
    return counted;
  }
}

/** Download, training and upload. */
export function completionMs({ report, uploadMs }: ReceivedUpdate): number {
  return report.downloadMs + report.trainMs + uploadMs;
}
