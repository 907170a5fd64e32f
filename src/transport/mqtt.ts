/** Connections to a real broker by MQTT 3.1.1 over TCP, TLS or WebSocket; the only file that knows mqtt.js. */
import mqtt from "mqtt";
import type { IClientOptions, MqttClient } from "mqtt";
import type { Timer } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import { Backoff } from "./backoff.ts";
import type { BackoffLimits } from "./backoff.ts";
import { checkBrokerUrl } from "./mqtt-options.ts";
import type { MqttOptions } from "./mqtt-options.ts";
import { StateListeners } from "./state-listeners.ts";
import { Subscriptions } from "./subscriptions.ts";
import type {
  ConnectOptions,
  MessageHandler,
  PublishOptions,
  Transport,
  TransportFactory,
  TransportState,
} from "./transport.ts";

const DEFAULT_BACKOFF: BackoffLimits = { firstMs: 1000, maxMs: 60_000 };
const DEFAULT_GIVE_UP_MS = 30_000;
/** How long CONNACK, SUBACK and UNSUBACK may take; brokers do lose the latter two under load. */
const ANSWER_TIMEOUT_MS = 10_000;
/** How long an orderly close waits for outstanding acknowledgements. */
const CLOSE_TIMEOUT_MS = 2000;
/** A connection that lived this long was a good one: the next back-off starts over. */
const STABLE_AFTER_MS = 10_000;
/** SUBACK code of a refused filter. */
const SUBSCRIPTION_REFUSED = 128;
/** CONNACK codes that no repetition will change: protocol version, client id, credentials, authorisation. */
const FINAL_CONNACK_CODES = new Set([1, 2, 4, 5]);

/** Connects to the broker at `url`. Throws ConfigError for a url of another scheme or with credentials in it. */
export function mqttTransportFactory(options: MqttOptions): TransportFactory {
  checkBrokerUrl(options.url);
  return {
    async connect(connectOptions) {
      const transport = new MqttTransport(options, connectOptions);
      await transport.open();
      return transport;
    },
  };
}

/** The library's own repetition is off: each attempt is a fresh client, so nothing is queued behind our back. */
class MqttTransport implements Transport {
  readonly #options: MqttOptions;
  readonly #connect: ConnectOptions;
  readonly #subscriptions: Subscriptions;
  readonly #states = new StateListeners();
  readonly #backoff: Backoff;
  readonly #pending = new Set<(error: TransportError) => void>();
  #client: MqttClient | undefined;
  #connectedAtMs = 0;
  #closed = false;
  #pause: { timer: Timer; end: () => void } | undefined;

  constructor(options: MqttOptions, connect: ConnectOptions) {
    this.#options = options;
    this.#connect = connect;
    this.#subscriptions = new Subscriptions(!connect.clean, (fault) => options.onFault?.(fault));
    this.#backoff = new Backoff(options.backoff ?? DEFAULT_BACKOFF, options.rng);
  }

  get clientId(): string {
    return this.#connect.clientId;
  }

  get state(): TransportState {
    return this.#states.state;
  }

  async open(): Promise<void> {
    const { clock } = this.#options;
    const deadlineMs = clock.nowMs() + (this.#connect.giveUpAfterMs ?? DEFAULT_GIVE_UP_MS);
    for (;;) {
      const failure = await this.#dial();
      if (failure === undefined) return;
      if (this.#closed) throw failure;
      const pauseMs = this.#backoff.nextMs();
      if (failure.details.final === true || clock.nowMs() + pauseMs > deadlineMs) throw failure;
      await this.#sleep(pauseMs);
    }
  }

  async publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void> {
    const client = this.#client;
    if (client === undefined || this.state !== "connected") {
      throw this.#error("not connected to the broker", { topic });
    }
    const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    await this.#settled((done) => client.publish(topic, buffer, { ...options }, done));
  }

  async subscribe(filter: string, handler: MessageHandler): Promise<void> {
    this.#subscriptions.add(filter, handler);
    const client = this.#client;
    if (client === undefined || this.state !== "connected") return;
    const refused = await this.#requestFilters(client, [filter]);
    if (refused.length === 0) return;
    this.#subscriptions.remove(filter);
    throw this.#error("the broker refuses the subscription", { got: filter });
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#subscriptions.remove(filter);
    const client = this.#client;
    if (client === undefined || this.state !== "connected") return;
    await this.#answered(client, (done) => client.unsubscribe(filter, done));
  }

  onState(listener: (state: TransportState) => void): () => void {
    return this.#states.listen(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#pause?.timer.cancel();
    this.#pause?.end();
    const client = this.#client;
    if (client === undefined) return;
    const timer = this.#options.clock.after(CLOSE_TIMEOUT_MS, () => client.end(true));
    await new Promise<void>((resolve) => {
      client.once("close", () => resolve());
      client.end(this.state === "disconnected");
    });
    timer.cancel();
  }

  /** One attempt up to granted subscriptions; returns why it failed. */
  #dial(): Promise<TransportError | undefined> {
    return new Promise((resolve) => {
      const client = mqtt.connect(this.#options.url, this.#clientOptions());
      this.#client = client;
      let entered = false;
      let cause: unknown;
      client.on("error", (error) => {
        cause = error;
        client.end(true);
      });
      client.on("message", (topic, payload) => this.#subscriptions.dispatch(topic, payload));
      client.once("connect", () => {
        void this.#enter(client).then((alive) => {
          if (!alive) return;
          entered = true;
          this.#states.enter("connected");
          resolve(undefined);
        });
      });
      client.once("close", () => {
        this.#leave();
        if (!entered) resolve(this.#connectFailure(cause));
        else if (!this.#closed) void this.#reconnect();
      });
    });
  }

  /** Repeats the subscriptions; false when the link dropped meanwhile. */
  async #enter(client: MqttClient): Promise<boolean> {
    this.#connectedAtMs = this.#options.clock.nowMs();
    const asked = new Set<string>();
    for (;;) {
      const filters = this.#subscriptions.filters.filter((filter) => !asked.has(filter));
      if (filters.length === 0 || this.#client !== client) break;
      for (const filter of filters) asked.add(filter);
      for (const filter of await this.#requestFilters(client, filters)) {
        const refusal = this.#error("the broker refuses the subscription", { got: filter });
        this.#options.onFault?.(refusal);
      }
    }
    return this.#client === client && !this.#closed;
  }

  #leave(): void {
    this.#client = undefined;
    const livedMs = this.#options.clock.nowMs() - this.#connectedAtMs;
    if (this.state === "connected" && livedMs >= STABLE_AFTER_MS) this.#backoff.reset();
    const waiting = [...this.#pending];
    this.#pending.clear();
    for (const fail of waiting) fail(this.#error("the link dropped before the broker answered"));
    this.#states.enter("disconnected");
  }

  async #reconnect(): Promise<void> {
    await this.#sleep(this.#backoff.nextMs());
    while (!this.#closed) {
      const failure = await this.#dial();
      if (failure === undefined) return;
      this.#options.onFault?.(failure);
      await this.#sleep(this.#backoff.nextMs());
    }
  }

  /** Asks for filters and returns the refused ones; a link that drops meanwhile asks again on reconnect. */
  async #requestFilters(client: MqttClient, filters: string[]): Promise<string[]> {
    let refused: string[] = [];
    await this.#answered(client, (done) =>
      client.subscribe(filters, { qos: 1 }, (error, _, suback) => {
        refused = filters.filter((_, i) => suback?.granted[i] === SUBSCRIPTION_REFUSED);
        done(refused.length > 0 ? null : error);
      }),
    );
    return refused;
  }

  /** Waits for SUBACK or UNSUBACK; without one the connection is given up, and the next repeats what is due. */
  async #answered(client: MqttClient, request: (done: Done) => unknown): Promise<void> {
    const timer = this.#options.clock.after(ANSWER_TIMEOUT_MS, () => client.end(true));
    await this.#settled(request).catch(() => client.end(true));
    timer.cancel();
  }

  /** Turns a callback into a promise that also rejects when the link drops first. */
  #settled(request: (done: Done) => unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.add(reject);
      request((cause) => {
        this.#pending.delete(reject);
        if (cause) reject(this.#error("the broker did not take the message", { cause }));
        else resolve();
      });
    });
  }

  #sleep(durationMs: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#pause = { timer: this.#options.clock.after(durationMs, resolve), end: resolve };
    });
  }

  #clientOptions(): IClientOptions {
    const { username, password, tls } = this.#options;
    const { clientId, clean, keepaliveSeconds, will } = this.#connect;
    return {
      clientId,
      clean,
      protocolVersion: 4,
      keepalive: keepaliveSeconds,
      connectTimeout: ANSWER_TIMEOUT_MS,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...tls,
      ...(will === undefined ? {} : { will: { ...will, payload: Buffer.from(will.payload) } }),
    };
  }

  #connectFailure(cause: unknown): TransportError {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const final = typeof code === "number" && FINAL_CONNACK_CODES.has(code);
    return this.#error("cannot connect to the broker", { cause, final });
  }

  #error(what: string, details: Record<string, unknown> = {}): TransportError {
    return new TransportError(what, {
      ...details,
      broker: this.#options.url,
      client: this.clientId,
    });
  }
}

type Done = (error?: Error | null) => void;
