/** Makes this machine seem slower, for emulations: after each piece of work it rests in proportion. */
import type { Clock } from "../base/clock.ts";
import { pause } from "./pause.ts";

export class Pace {
  readonly #clock: Clock;
  readonly #speed: number;
  #resumedMs: number;

  /** `speed` in (0, 1]: at 0.25 work takes four times as long. */
  constructor(clock: Clock, speed: number) {
    this.#clock = clock;
    this.#speed = speed;
    this.#resumedMs = clock.nowMs();
  }

  /** Rests for what the work since the last rest calls for; at full speed it only lets messages through. */
  async rest(signal: AbortSignal): Promise<void> {
    const workedMs = this.#clock.nowMs() - this.#resumedMs;
    await pause(this.#clock, workedMs * (1 / this.#speed - 1), signal);
    this.#resumedMs = this.#clock.nowMs();
  }
}
