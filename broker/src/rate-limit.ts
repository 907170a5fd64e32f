/** A token bucket that may go into debt: what has been read already counts, and the debt says how long to wait. */

/** Seconds' worth that may come at once. */
const BURST_SECONDS = 2;

export class RateLimit {
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond * BURST_SECONDS;
    this.#atMs = nowMs;
  }

  /** Takes `count` and returns the milliseconds until the bucket is out of debt; 0 when it is not in debt. */
  take(count: number, nowMs: number): number {
    const earned = ((nowMs - this.#atMs) / 1000) * this.#perSecond;
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#perSecond * BURST_SECONDS, this.#tokens + earned) - count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000;
  }
}
