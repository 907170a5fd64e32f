/** Puts the framing guard and back-pressure between a socket and the MQTT parser. */
import type { Duplex } from "node:stream";
import { FramingGuard } from "./framing-guard.ts";
import type { FramingLimits, FramingVerdict } from "./framing-guard.ts";

export interface GuardedStreamOptions extends FramingLimits {
  readonly maxUnroutedBytes: number;
  readonly onRefused: (verdict: FramingVerdict) => void;
}

/**
 * aedes takes bytes from a connection only by `read()`, so replacing that one method sees every byte before its parser
 * does, without the copy and the extra buffer of a stream in between.
 */
export class GuardedStream {
  readonly stream: Duplex;
  readonly #guard: FramingGuard;
  readonly #maxUnroutedBytes: number;
  #unroutedBytes = 0;
  #held = false;

  constructor(stream: Duplex, options: GuardedStreamOptions) {
    this.stream = stream;
    this.#guard = new FramingGuard(options);
    this.#maxUnroutedBytes = options.maxUnroutedBytes;
    const read = stream.read.bind(stream) as (size?: number) => Buffer | null;
    stream.read = (size?: number): Buffer | null => {
      if (this.#unroutedBytes > this.#maxUnroutedBytes) {
        this.#held = true;
        return null;
      }
      const bytes = read(size);
      if (bytes === null) return null;
      const verdict = this.#guard.inspect(bytes);
      if (verdict === "ok") return bytes;
      options.onRefused(verdict);
      stream.destroy();
      return null;
    };
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
    if (!this.#held || this.#unroutedBytes > this.#maxUnroutedBytes / 2) return;
    this.#held = false;
    this.stream.emit("readable");
  }
}
