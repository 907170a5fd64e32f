/** Actions that happen at a set time, in order, with a single timer: how messages travel in memory and on shaped links. */
import type { Clock, Timer } from "../base/clock.ts";

export class DelayLine {
  readonly #clock: Clock;
  readonly #waiting: { dueMs: number; action: () => void }[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `action` at `dueMs`; of two with the same time the earlier pushed runs first. */
  push(dueMs: number, action: () => void): void {
    let place = this.#waiting.length;
    while (place > 0 && (this.#waiting[place - 1]?.dueMs ?? 0) > dueMs) place--;
    this.#waiting.splice(place, 0, { dueMs, action });
    if (place === 0) this.#arm();
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer?.cancel();
    const next = this.#waiting[0];
    if (next === undefined) return;
    const delayMs = Math.max(0, next.dueMs - this.#clock.nowMs());
    this.#timer = this.#clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    const nowMs = this.#clock.nowMs();
    while (this.#waiting.length > 0 && (this.#waiting[0]?.dueMs ?? 0) <= nowMs) {
      this.#waiting.shift()?.action();
    }
    this.#arm();
  }
}
