/** Waiting times between attempts: exponential with full jitter, so that a fleet does not return in step. */
import type { Rng } from "../base/rng.ts";

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Full jitter as in Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #rng: Rng;
  #attempt = 0;

  constructor(limits: BackoffLimits, rng: Rng) {
    this.#limits = limits;
    this.#rng = rng;
  }

  /** Uniform in (0, min(maxMs, firstMs * 2^attempt)], counted from the last reset. */
  nextMs(): number {
    const { firstMs, maxMs } = this.#limits;
    const ceilingMs = Math.min(maxMs, firstMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return Math.ceil((1 - this.#rng.next()) * ceilingMs);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
