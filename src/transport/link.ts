/** A slow link in front of any transport: bytes per second each way, latency, and a count of what crosses it. */
import type { Clock } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import { DelayLine } from "./delay-line.ts";
import { callHandler } from "./subscriptions.ts";
import type { FaultListener } from "./subscriptions.ts";
import type {
  ConnectOptions,
  MessageHandler,
  PublishOptions,
  Transport,
  TransportFactory,
  TransportState,
} from "./transport.ts";

export interface LinkOptions {
  readonly clock: Clock;
  /** Infinity for no limit. */
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  /** One way, added to the time that the bytes take. */
  readonly latencyMs: number;
  readonly onFault?: FaultListener;
}

export interface LinkTraffic {
  readonly bytes: number;
  readonly messages: number;
}

/** Fixed header, topic length and packet id of an MQTT PUBLISH. */
const PACKET_OVERHEAD_BYTES = 8;

/**
 * One link of one device; every connection opened through `wrap` shares it, so blobs slow control messages down as they
 * do in the field. Counts MQTT PUBLISH bytes, without TCP/IP headers. Nothing is dropped: it delays, in order.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #up: Lane;
  readonly #down: Lane;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { clock, latencyMs } = options;
    this.#up = new Lane(clock, options.upBytesPerSecond, latencyMs);
    this.#down = new Lane(clock, options.downBytesPerSecond, latencyMs);
  }

  /** Published by the device so far. */
  get up(): LinkTraffic {
    return this.#up.traffic;
  }

  /** Received by the device so far. */
  get down(): LinkTraffic {
    return this.#down.traffic;
  }

  wrap(factory: TransportFactory): TransportFactory {
    return {
      connect: async (options: ConnectOptions) => {
        const inner = await factory.connect(options);
        return new LinkTransport(inner, this.#up, this.#down, this.#options.onFault);
      },
    };
  }
}

/** One direction: messages take their bytes' time one after the other, then the latency. */
class Lane {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  readonly #latencyMs: number;
  readonly #line: DelayLine;
  #freeAtMs = 0;
  #bytes = 0;
  #messages = 0;

  constructor(clock: Clock, bytesPerSecond: number, latencyMs: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#latencyMs = latencyMs;
    this.#line = new DelayLine(clock);
  }

  get traffic(): LinkTraffic {
    return { bytes: this.#bytes, messages: this.#messages };
  }

  carry(topic: string, payload: Uint8Array, arrive: () => void): void {
    const bytes = PACKET_OVERHEAD_BYTES + Buffer.byteLength(topic) + payload.byteLength;
    this.#bytes += bytes;
    this.#messages += 1;
    const startMs = Math.max(this.#freeAtMs, this.#clock.nowMs());
    this.#freeAtMs = startMs + (1000 * bytes) / this.#bytesPerSecond;
    this.#line.push(this.#freeAtMs + this.#latencyMs, arrive);
  }
}

class LinkTransport implements Transport {
  readonly #inner: Transport;
  readonly #up: Lane;
  readonly #down: Lane;
  readonly #onFault: FaultListener;
  #closed = false;

  constructor(inner: Transport, up: Lane, down: Lane, onFault: FaultListener = () => {}) {
    this.#inner = inner;
    this.#up = up;
    this.#down = down;
    this.#onFault = onFault;
  }

  get clientId(): string {
    return this.#inner.clientId;
  }

  get state(): TransportState {
    return this.#inner.state;
  }

  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void> {
    if (this.state !== "connected") {
      return Promise.reject(new TransportError("not connected to the broker", { topic }));
    }
    return new Promise((resolve, reject) => {
      this.#up.carry(topic, payload, () => {
        this.#inner.publish(topic, payload, options).then(resolve, reject);
      });
    });
  }

  subscribe(filter: string, handler: MessageHandler): Promise<void> {
    return this.#inner.subscribe(filter, (topic, payload) => {
      this.#down.carry(topic, payload, () => {
        if (!this.#closed) callHandler(handler, topic, payload, this.#onFault);
      });
    });
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#inner.unsubscribe(filter);
  }

  onState(listener: (state: TransportState) => void): () => void {
    return this.#inner.onState(listener);
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#inner.close();
  }
}
