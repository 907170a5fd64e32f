/** Puts the framing guard, rate limits and back-pressure between a socket and the MQTT parser. */
import type { Duplex } from "node:stream";
import { FramingGuard } from "./framing-guard.ts";
import type { FramingLimits, FramingVerdict } from "./framing-guard.ts";
import { RateLimit } from "./rate-limit.ts";

export interface GuardedStreamOptions extends FramingLimits {
  readonly maxUnroutedBytes: number;
  readonly maxPacketsPerSecond: number;
  readonly maxBytesPerSecond: number;
  readonly onRefused: (verdict: FramingVerdict) => void;
  /** The client sends faster than it may and is read no further for a while. */
  readonly onSlowed: () => void;
}

/** A pause shorter than this is not worth a timer. */
const MIN_PAUSE_MS = 5;

/**
 * aedes takes bytes from a connection only by `read()`, so replacing that one method sees every byte before its parser
 * does, without the copy and the extra buffer of a stream in between.
 */
export class GuardedStream {
  readonly stream: Duplex;
  readonly #guard: FramingGuard;
  readonly #packets: RateLimit;
  readonly #bytes: RateLimit;
  readonly #options: GuardedStreamOptions;
  #unroutedBytes = 0;
  #held = false;
  #pause: NodeJS.Timeout | undefined;

  constructor(stream: Duplex, options: GuardedStreamOptions) {
    const nowMs = performance.now();
    this.stream = stream;
    this.#options = options;
    this.#guard = new FramingGuard(options);
    this.#packets = new RateLimit(options.maxPacketsPerSecond, nowMs);
    this.#bytes = new RateLimit(options.maxBytesPerSecond, nowMs);
    const read = stream.read.bind(stream) as (size?: number) => Buffer | null;
    stream.read = (size?: number): Buffer | null => {
      if (this.#pause !== undefined || this.#unroutedBytes > options.maxUnroutedBytes) {
        this.#held = true;
        return null;
      }
      const bytes = read(size);
      if (bytes === null) return null;
      const before = this.#guard.numPackets;
      const verdict = this.#guard.inspect(bytes);
      if (verdict !== "ok") {
        options.onRefused(verdict);
        stream.destroy();
        return null;
      }
      this.#pace(this.#guard.numPackets - before, bytes.byteLength);
      return bytes;
    };
    stream.once("close", () => clearTimeout(this.#pause));
  }

  get unroutedBytes(): number {
    return this.#unroutedBytes;
  }

  authenticate(): void {
    this.#guard.authenticate();
  }

  /** A message of this connection is on its way to its subscribers. */
  routing(bytes: number): void {
    this.#unroutedBytes += bytes;
  }

  /** All subscribers have taken it; reading goes on once enough is through. */
  routed(bytes: number): void {
    this.#unroutedBytes -= bytes;
    this.#goOn();
  }

  /** Reads no further until what has come in is within the limits again; the network holds back the rest. */
  #pace(packets: number, bytes: number): void {
    const nowMs = performance.now();
    const waitMs = Math.max(this.#packets.take(packets, nowMs), this.#bytes.take(bytes, nowMs));
    if (waitMs < MIN_PAUSE_MS) return;
    this.#options.onSlowed();
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#goOn();
    }, waitMs);
  }

  #goOn(): void {
    const isFull = this.#unroutedBytes > this.#options.maxUnroutedBytes / 2;
    if (!this.#held || this.#pause !== undefined || isFull) return;
    this.#held = false;
    this.stream.emit("readable");
  }
}
