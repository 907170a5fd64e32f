/** An MQTT broker within the process, with faults on demand: for tests and simulations, deterministic by seed and clock. */
import type { Clock } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { DelayLine } from "./delay-line.ts";
import { FilterIndex } from "./filter-index.ts";
import { MemoryTransport } from "./memory-transport.ts";
import type { FaultListener } from "./subscriptions.ts";
import { filterMatches } from "./topic-filter.ts";
import type { ConnectOptions, PublishOptions, Transport, TransportFactory } from "./transport.ts";

/** What happens to messages on their way from the broker to a subscriber; rates are probabilities. */
export interface MemoryFaults {
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** The message overtakes nothing and is overtaken by later ones: it arrives `reorderMs` late. */
  readonly reorderRate: number;
  readonly reorderMs: number;
  /** One byte of the payload is changed. */
  readonly corruptRate: number;
  readonly latencyMs: number;
}

export const noFaults: MemoryFaults = {
  lossRate: 0,
  duplicateRate: 0,
  reorderRate: 0,
  reorderMs: 0,
  corruptRate: 0,
  latencyMs: 0,
};

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly faults?: Partial<MemoryFaults>;
  /** How long a connection that was cut stays away. Default 1000. */
  readonly reconnectAfterMs?: number;
  readonly onFault?: FaultListener;
}

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
}

/** What the broker remembers about one client id. */
interface Session {
  /** Of creation: messages are delivered in it. */
  readonly order: number;
  readonly clean: boolean;
  readonly filters: Set<string>;
  readonly queue: Message[];
  lastDueMs: number;
  link: MemoryTransport | undefined;
  options: ConnectOptions;
}

/** Undelivered QoS 1 messages kept per absent durable session, as mosquitto's default; later ones are dropped. */
const MAX_QUEUED_MESSAGES = 1000;

/**
 * Semantics of the MQTT drivers: sessions, wills, retained messages, displacement by client id. Every delivery is a
 * clock event, so with a ManualClock nothing arrives until it is advanced. `connect`, `publish` and `subscribe` resolve
 * without the clock.
 */
export class MemoryBroker implements TransportFactory {
  /** May be replaced at any time; takes effect for later messages. */
  faults: MemoryFaults;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #reconnectAfterMs: number;
  readonly #onFault: FaultListener;
  readonly #wires: DelayLine;
  readonly #sessions = new Map<string, Session>();
  readonly #retained = new Map<string, Message>();
  readonly #subscribers = new FilterIndex<Session>();
  #numSessions = 0;
  #running = true;

  constructor({ clock, rng, faults, reconnectAfterMs = 1000, onFault }: MemoryBrokerOptions) {
    this.#clock = clock;
    this.#rng = rng;
    this.faults = { ...noFaults, ...faults };
    this.#reconnectAfterMs = reconnectAfterMs;
    this.#onFault = onFault ?? (() => {});
    this.#wires = new DelayLine(clock);
  }

  async connect(options: ConnectOptions): Promise<Transport> {
    if (!this.#running) {
      throw new TransportError("the in-process broker is stopped", {
        hint: "call start() before connecting",
      });
    }
    const link = new MemoryTransport(this, options, this.#onFault);
    this.attach(link, options);
    return link;
  }

  /** Drops one connection as a failing link does: its will is published, it reconnects by itself. */
  cut(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (session?.link !== undefined) this.#drop(session, true);
  }

  /** A crash of the broker: sessions, queues and retained messages are forgotten, no will is published. */
  stop(): void {
    this.#running = false;
    this.#retained.clear();
    this.#wires.clear();
    const links = [...this.#sessions.values()].flatMap(({ link }) => link ?? []);
    this.#sessions.clear();
    this.#subscribers.clear();
    for (const link of links) this.#awaitReturn(link);
  }

  start(): void {
    this.#running = true;
  }

  /** The broker's half of CONNECT; called again by a link that returns. */
  attach(link: MemoryTransport, options: ConnectOptions): void {
    const previous = this.#sessions.get(options.clientId);
    if (previous?.link !== undefined) this.#drop(previous, true);
    const resumed = options.clean || previous?.clean !== false ? undefined : previous;
    if (previous !== undefined && resumed === undefined) this.#forget(previous);
    const session: Session = resumed ?? {
      order: this.#numSessions++,
      clean: options.clean,
      filters: new Set(),
      queue: [],
      lastDueMs: 0,
      link,
      options,
    };
    session.link = link;
    session.options = options;
    this.#sessions.set(options.clientId, session);
    for (const filter of link.filters) this.subscribe(link, filter);
    for (const message of session.queue.splice(0)) this.#send(session, message);
    link.enter("connected");
  }

  /** The broker's half of DISCONNECT. */
  detach(link: MemoryTransport): void {
    const session = this.#sessions.get(link.clientId);
    if (session?.link === link) this.#drop(session, false);
  }

  publish(topic: string, payload: Uint8Array, { qos, retain }: PublishOptions): void {
    const message: Message = { topic, payload, qos };
    if (retain && payload.byteLength === 0) this.#retained.delete(topic);
    else if (retain) this.#retained.set(topic, { ...message, payload: payload.slice() });
    for (const session of this.#subscribers.matching(topic)) this.#send(session, message);
  }

  subscribe(link: MemoryTransport, filter: string): void {
    const session = this.#sessions.get(link.clientId);
    if (session?.link !== link) return;
    session.filters.add(filter);
    this.#subscribers.add(filter, session);
    for (const message of this.#retained.values()) {
      if (filterMatches(filter, message.topic)) this.#send(session, message);
    }
  }

  unsubscribe(link: MemoryTransport, filter: string): void {
    const session = this.#sessions.get(link.clientId);
    if (session?.link !== link) return;
    session.filters.delete(filter);
    this.#subscribers.remove(filter, session);
  }

  #drop(session: Session, unexpected: boolean): void {
    const { link, options } = session;
    session.link = undefined;
    if (session.clean) this.#forget(session);
    if (!unexpected || link === undefined) return;
    this.#awaitReturn(link);
    const { will } = options;
    if (will !== undefined) this.publish(will.topic, will.payload, will);
  }

  #forget(session: Session): void {
    for (const filter of session.filters) this.#subscribers.remove(filter, session);
    this.#sessions.delete(session.options.clientId);
  }

  #awaitReturn(link: MemoryTransport): void {
    link.enter("disconnected");
    const retry = (): void => {
      if (link.closed) return;
      if (this.#running) this.attach(link, link.options);
      else this.#clock.after(this.#reconnectAfterMs, retry);
    };
    this.#clock.after(this.#reconnectAfterMs, retry);
  }

  /** Takes a copy of the payload: the publisher may use its own again. */
  #send(session: Session, { topic, payload: given, qos }: Message): void {
    const { link } = session;
    if (link === undefined) {
      const kept = qos === 1 && !session.clean;
      if (kept && session.queue.length < MAX_QUEUED_MESSAGES) {
        session.queue.push({ topic, payload: given.slice(), qos });
      }
      return;
    }
    const { faults } = this;
    if (this.#happens(faults.lossRate)) return;
    const copies = this.#happens(faults.duplicateRate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      let dueMs = Math.max(session.lastDueMs, this.#clock.nowMs() + faults.latencyMs);
      if (this.#happens(faults.reorderRate)) dueMs += faults.reorderMs;
      else session.lastDueMs = dueMs;
      const payload = given.slice();
      if (payload.byteLength > 0 && this.#happens(faults.corruptRate)) {
        const place = this.#rng.int(payload.byteLength);
        payload[place] = (payload[place] ?? 0) ^ (1 + this.#rng.int(255));
      }
      this.#wires.push(dueMs, () => {
        if (session.link === link) link.deliver(topic, payload);
        else if (qos === 1) this.#send(session, { topic, payload, qos });
      });
    }
  }

  #happens(rate: number): boolean {
    return rate > 0 && this.#rng.next() < rate;
  }
}
