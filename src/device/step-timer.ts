/** Measures how long an optimiser step takes, rests of an emulated slow machine included. */
import type { Clock } from "../base/clock.ts";

export class StepTimer {
  readonly #clock: Clock;
  readonly #startMs: number;
  #firstDoneMs: number | null = null;
  #lastDoneMs = 0;
  #numSteps = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  stepDone(): void {
    this.#lastDoneMs = this.#clock.nowMs();
    this.#firstDoneMs ??= this.#lastDoneMs;
    this.#numSteps++;
  }

  /** Mean without the first step, which reads data and prunes too; that one when it is alone, and 0 before. */
  get meanMs(): number {
    if (this.#firstDoneMs === null) return 0;
    if (this.#numSteps === 1) return this.#firstDoneMs - this.#startMs;
    return (this.#lastDoneMs - this.#firstDoneMs) / (this.#numSteps - 1);
  }
}
