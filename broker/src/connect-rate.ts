/** Limits how fast one address may open connections: a token bucket each, forgotten when full again. */

const BURST_SECONDS = 5;
/** Addresses remembered at once; beyond that the oldest is forgotten, which only ever lets more in. */
const MAX_ADDRESSES = 10_000;

export class ConnectRate {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** True when `address` may connect at `nowMs`. */
  admits(address: string, nowMs: number): boolean {
    const burst = this.#perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(address) ?? { tokens: burst, atMs: nowMs };
    this.#buckets.delete(address);
    const earned = ((nowMs - bucket.atMs) / 1000) * this.#perSecond;
    const tokens = Math.min(burst, bucket.tokens + earned);
    const admitted = tokens >= 1;
    this.#buckets.set(address, { tokens: admitted ? tokens - 1 : tokens, atMs: nowMs });
    if (this.#buckets.size > MAX_ADDRESSES) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return admitted;
  }
}
