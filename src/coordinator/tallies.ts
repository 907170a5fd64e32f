/** Counts what a run has to answer for: messages dropped by reason, bytes by device. */
import { parseTopic } from "../protocol/topics.ts";
import type { Transport, TransportFactory } from "../transport/transport.ts";

export class DropTally {
  readonly #counts: Map<string, number>;
  readonly #others: (() => Readonly<Record<string, number>>)[] = [];

  /** Goes on from these counts. */
  constructor(counts: Readonly<Record<string, number>> = {}) {
    this.#counts = new Map(Object.entries(counts));
  }

  /** Counts one; true for the first of its reason. */
  add(reason: string): boolean {
    const count = this.#counts.get(reason) ?? 0;
    this.#counts.set(reason, count + 1);
    return count === 0;
  }

  /** Has what somebody else counts from zero on included. */
  include(counts: () => Readonly<Record<string, number>>): void {
    this.#others.push(counts);
  }

  byReason(): Record<string, number> {
    return this.with([]);
  }

  /** The counts as they will be once one of each of these reasons is added. */
  with(reasons: readonly string[]): Record<string, number> {
    const sums = new Map(this.#counts);
    for (const reason of reasons) sums.set(reason, (sums.get(reason) ?? 0) + 1);
    for (const [reason, count] of this.#others.flatMap((counts) => Object.entries(counts()))) {
      if (count > 0) sums.set(reason, (sums.get(reason) ?? 0) + count);
    }
    return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** Payload bytes on the topics of each device, over all connections opened through `wrap`. */
export class TrafficTally {
  readonly #bytes = new Map<string, { up: number; down: number }>();

  wrap(factory: TransportFactory): TransportFactory {
    return { connect: async (options) => this.#counted(await factory.connect(options)) };
  }

  /** Since the last `clear`. */
  get counted(): ReadonlyMap<string, { readonly up: number; readonly down: number }> {
    return this.#bytes;
  }

  clear(): void {
    this.#bytes.clear();
  }

  #counted(inner: Transport): Transport {
    return {
      get clientId() {
        return inner.clientId;
      },
      get state() {
        return inner.state;
      },
      publish: (topic, payload, options) => {
        this.#add(topic, "down", payload.byteLength);
        return inner.publish(topic, payload, options);
      },
      subscribe: (filter, handler) =>
        inner.subscribe(filter, (topic, payload) => {
          this.#add(topic, "up", payload.byteLength);
          handler(topic, payload);
        }),
      unsubscribe: (filter) => inner.unsubscribe(filter),
      onState: (listener) => inner.onState(listener),
      close: () => inner.close(),
    };
  }

  #add(topic: string, direction: "up" | "down", bytes: number): void {
    const device = parseTopic(topic)?.device;
    if (device === undefined) return;
    const sums = this.#bytes.get(device) ?? { up: 0, down: 0 };
    sums[direction] += bytes;
    this.#bytes.set(device, sums);
  }
}
