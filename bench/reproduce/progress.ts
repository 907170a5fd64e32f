/** How far a grid is, on stderr: what runs, and when it will be done. */
import { durationText } from "../../src/base/quantity-text.ts";

export class GridProgress {
  readonly #numCells: number;
  readonly #say: (line: string) => void;
  readonly #nowMs: () => number;
  readonly #durations: number[] = [];
  #numSkipped = 0;

  constructor(numCells: number, say: (line: string) => void, nowMs: () => number) {
    this.#numCells = numCells;
    this.#say = say;
    this.#nowMs = nowMs;
  }

  /** A result was there already. */
  skipped(): void {
    this.#numSkipped++;
  }

  /** Returns what to call when it is done. */
  begun(label: string): (accuracy: number | null) => void {
    const startMs = this.#nowMs();
    return (accuracy) => {
      this.#durations.push(this.#nowMs() - startMs);
      const result = accuracy === null ? "failed" : `accuracy ${(100 * accuracy).toFixed(1)} %`;
      this.#say(
        `${this.#counter()} ${label}: ${result} in ${this.#lastText()}, ${this.leftText()}`,
      );
    };
  }

  /** The rest at the mean pace so far. */
  leftText(): string {
    const numLeft = this.#numCells - this.#numSkipped - this.#durations.length;
    const total = this.#durations.reduce((sum, duration) => sum + duration, 0);
    if (this.#durations.length === 0) return `${numLeft} runs to go`;
    return `${durationText((numLeft * total) / this.#durations.length)} to go`;
  }

  #counter(): string {
    const done = this.#numSkipped + this.#durations.length;
    return `[${String(done).padStart(String(this.#numCells).length)}/${this.#numCells}]`;
  }

  #lastText(): string {
    return durationText(this.#durations.at(-1) ?? 0);
  }
}
