/** How much of a blob may be under way at once: learnt from the time that ranges take, so that queues stay short. */
import type { Rng } from "../base/rng.ts";
import { MAX_RANGE_BYTES } from "../protocol/frame.ts";

/** Smallest range: what a link of 2 KB/s carries well within a keepalive. */
export const MIN_RANGE_BYTES = 16 * 1024;
/** Most that is ever under way for one blob. */
export const MAX_WINDOW_BYTES = 16 * MAX_RANGE_BYTES;

/** Below this a range was quick, whatever the link. */
const QUICK_MS = 500;
/** Above this the link's queue could hold up a keepalive answer. */
const SLOW_MS = 2000;
/** A range may take this much longer than the best one before latency counts as no longer flat. */
const FLAT_FACTOR = 1.5;
const MIN_TIMEOUT_MS = 2000;
/** Before the first answer nothing is known of the link; one range at 2 KB/s takes 8 s. */
const FIRST_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 60_000;
const MAX_PATIENCE = 16;

/**
 * Starts with one range of 16 KiB. The window doubles per round trip while latency is flat, then grows by one range per
 * round trip, holds while latency is raised and halves when a range is lost or takes more than twice SLOW_MS. A
 * full window therefore drains in a few seconds: an MQTT message that needs longer than a keepalive never arrives,
 * since the answer to the ping queues up behind it.
 */
export class FlowControl {
  readonly #rng: Rng;
  #windowBytes = MIN_RANGE_BYTES;
  #slowStart = true;
  #bestMs = Infinity;
  #smoothedMs = 0;
  #deviationMs = 0;
  /** Doubles with each loss until a range arrives at the first attempt: a link that became slow is not a dead one. */
  #patience = 1;
  #ackedBytes = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** Bytes that may be under way. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Bytes to ask for at once: at least four ranges fill a large window, so that answers overlap requests. */
  get rangeBytes(): number {
    let bytes = MIN_RANGE_BYTES;
    while (bytes < MAX_RANGE_BYTES && bytes * 8 <= this.#windowBytes) bytes *= 2;
    return bytes;
  }

  /** A range of `bytes` arrived `tookMs` after its only request. Small ones say nothing of how long a full one takes. */
  onRange(bytes: number, tookMs: number): void {
    if (bytes < MIN_RANGE_BYTES) return;
    this.#measure(tookMs);
    const flatMs = Math.min(SLOW_MS, Math.max(QUICK_MS, FLAT_FACTOR * this.#bestMs));
    if (tookMs > 2 * SLOW_MS) this.#shrink();
    else if (tookMs > flatMs) this.#slowStart = false;
    else if (this.#slowStart) this.#grow(bytes);
    else {
      this.#ackedBytes += bytes;
      if (this.#ackedBytes < this.#windowBytes) return;
      this.#ackedBytes = 0;
      this.#grow(this.rangeBytes);
    }
  }

  /** Requests went unanswered; to be called once for all that were under way together. */
  onLoss(): void {
    this.#patience = Math.min(MAX_PATIENCE, this.#patience * 2);
    this.#shrink();
  }

  /** How long to wait for the answer to the `attempt`th repetition: exponential, with a quarter of jitter. */
  timeoutMs(attempt: number): number {
    const usualMs = Math.max(2 * this.#smoothedMs, this.#smoothedMs + 4 * this.#deviationMs);
    const knownMs = this.#bestMs === Infinity ? FIRST_TIMEOUT_MS : usualMs;
    const factor = Math.max(this.#patience, 2 ** Math.min(attempt, 10));
    const waitMs = Math.min(MAX_TIMEOUT_MS, Math.max(MIN_TIMEOUT_MS, knownMs) * factor);
    return waitMs * (1 + 0.25 * this.#rng.next());
  }

  /** Smoothed time and mean deviation as in Jacobson, "Congestion Avoidance and Control", 1988. */
  #measure(tookMs: number): void {
    this.#patience = 1;
    if (this.#bestMs === Infinity) {
      this.#smoothedMs = tookMs;
      this.#deviationMs = tookMs / 2;
    } else {
      this.#deviationMs += 0.25 * (Math.abs(tookMs - this.#smoothedMs) - this.#deviationMs);
      this.#smoothedMs += 0.125 * (tookMs - this.#smoothedMs);
    }
    this.#bestMs = Math.min(this.#bestMs, tookMs);
  }

  #grow(bytes: number): void {
    this.#windowBytes = Math.min(MAX_WINDOW_BYTES, this.#windowBytes + bytes);
  }

  #shrink(): void {
    this.#slowStart = false;
    this.#ackedBytes = 0;
    this.#windowBytes = Math.max(MIN_RANGE_BYTES, this.#windowBytes / 2);
  }
}
