/** Measures how long an optimiser step takes, rests of an emulated slow machine included. */
import type { Clock } from "../base/clock.ts";

export class StepTimer {
  readonly #clock: Clock;
  readonly #startMs: number;
  #firstDoneMs: number | null = null;
  #lastDoneMs = 0;
  #firstStep = 0;
  #lastStep = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  /** `step` counts from 1; steps that are left out count as done with the next one. */
  stepDone(step: number): void {
    this.#lastDoneMs = this.#clock.nowMs();
    this.#lastStep = step;
    if (this.#firstDoneMs !== null) return;
    this.#firstDoneMs = this.#lastDoneMs;
    this.#firstStep = step;
  }

  /** Mean without the first step, which reads data and prunes too; that one when it is alone, and 0 before. */
  get meanMs(): number {
    if (this.#firstDoneMs === null) return 0;
    const numAfter = this.#lastStep - this.#firstStep;
    if (numAfter === 0) return (this.#firstDoneMs - this.#startMs) / this.#firstStep;
    return (this.#lastDoneMs - this.#firstDoneMs) / numAfter;
  }
}
