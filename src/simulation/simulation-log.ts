/** The events of a simulation: those of one run, although every round is played by new processes. */
import { appendFileSync, existsSync, statSync, truncateSync } from "node:fs";
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
  add(atMs: number, event: RunEvent, isLast: boolean): void {
    if (!this.#belongs(event, isLast)) return;
    if (event.kind === "checkpoint") this.#isRoundSaved = true;
    const line = `${JSON.stringify({ at: Math.round(atMs), ...event })}\n`;
    appendFileSync(this.#path, line);
    this.#sizeBytes += Buffer.byteLength(line);
    this.#onEvent(event);
  }

  /** Whether the event would have happened had the processes gone on from the round before. */
  #belongs(event: RunEvent, isLast: boolean): boolean {
    switch (event.kind) {
      case "run-started":
        return event.resumedRound === null;
      case "device-joined": {
        const isNew = !this.#present.has(event.device);
        this.#present.add(event.device);
        return isNew;
      }
      case "device-left":
        if (isLast && this.#isRoundSaved) return true;
        return this.#present.delete(event.device);
      case "round-started":
        return isLast || !this.#isRoundSaved;
      case "finished":
        return isLast || !this.#isRoundSaved;
      default:
        return true;
    }
  }
}
