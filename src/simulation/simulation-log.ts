/** The events of a simulation: those of one run, although every round is played by new processes. */
import { appendFileSync, existsSync, statSync, truncateSync } from "node:fs";
import { basename } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import type { RunEvent } from "../coordinator/run-events.ts";

export class SimulationLog {
  readonly #path: string;
  readonly #onEvent: (event: RunEvent) => void;
  readonly #present: Set<string>;
  #isRoundSaved = false;
  #sizeBytes = 0;

  /** Goes on after the first `sizeBytes` of the file with these devices there; what follows them is cut off. */
  constructor(
    path: string,
    from: { readonly sizeBytes: number; readonly present: readonly string[] },
    onEvent: (event: RunEvent) => void,
  ) {
    this.#path = path;
    this.#onEvent = onEvent;
    this.#present = new Set(from.present);
    this.#sizeBytes = from.sizeBytes;
    const haveBytes = existsSync(path) ? statSync(path).size : 0;
    if (haveBytes < from.sizeBytes) {
      throw new CheckpointError(`${path} is shorter than when the simulation was interrupted`, {
        expected: `${from.sizeBytes} bytes`,
        got: `${haveBytes} bytes`,
      });
    }
    if (haveBytes > from.sizeBytes) truncateSync(path, from.sizeBytes);
  }

  get position(): { sizeBytes: number; present: string[] } {
    return { sizeBytes: this.#sizeBytes, present: [...this.#present].sort() };
  }

  beginRound(): void {
    this.#isRoundSaved = false;
  }

  /** Told by the coordinator; `isLast` says that its end is the end of the run. */
  add(atMs: number, told: RunEvent, isLast: boolean): void {
    if (!this.#belongs(told, isLast)) return;
    if (told.kind === "checkpoint") this.#isRoundSaved = true;
    // Relative to the folder: a log is to be the same wherever it was written.
    const event = told.kind === "checkpoint" ? { ...told, path: basename(told.path) } : told;
    const line = `${JSON.stringify({ at: Math.round(atMs), ...event })}\n`;
    appendFileSync(this.#path, line);
    this.#sizeBytes += Buffer.byteLength(line);
    this.#onEvent(event);
  }

  /** Whether the event would have happened had the processes gone on from the round before. */
  #belongs(event: RunEvent, isLast: boolean): boolean {
    // A coordinator that is told to stop has begun the next round already; its successor begins it again.
    const isAfterwards = this.#isRoundSaved && !isLast;
    if (isAfterwards) return event.kind === "round-finished";
    switch (event.kind) {
      case "run-started":
        return event.resumedRound === null;
      case "device-joined": {
        const isNew = !this.#present.has(event.device);
        this.#present.add(event.device);
        return isNew;
      }
      case "device-left":
        this.#present.delete(event.device);
        return true;
      default:
        return true;
    }
  }
}
