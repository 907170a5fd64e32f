/** How often one address may try something: so many at once, one more with every interval. */
import type { Clock } from "../base/clock.ts";

/** Addresses remembered at once; beyond that the oldest is forgotten. */
const MAX_ADDRESSES = 10_000;

export class AttemptLimit {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #intervalMs: number;
  readonly #spent = new Map<string, { attempts: number; atMs: number }>();

  constructor(clock: Clock, burst: number, intervalMs: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#intervalMs = intervalMs;
  }

  /** True while the address has attempts left. */
  allows(address: string): boolean {
    return this.#spentBy(address) <= this.#burst - 1;
  }

  /** Uses one up. */
  spend(address: string): void {
    const attempts = this.#spentBy(address) + 1;
    this.#spent.delete(address);
    this.#spent.set(address, { attempts, atMs: this.#clock.nowMs() });
    const [oldest] = this.#spent.keys();
    if (this.#spent.size > MAX_ADDRESSES && oldest !== undefined) this.#spent.delete(oldest);
  }

  #spentBy(address: string): number {
    const entry = this.#spent.get(address);
    if (entry === undefined) return 0;
    const returned = (this.#clock.nowMs() - entry.atMs) / this.#intervalMs;
    return Math.max(0, entry.attempts - returned);
  }
}
