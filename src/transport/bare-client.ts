/** One bare connection to a broker with everything that it says of itself: for looking into brokers, not for work. */
import mqtt from "mqtt";
import type { MqttClient } from "mqtt";
import type { Clock } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import { checkBrokerUrl } from "./mqtt-options.ts";

export interface BareDial {
  readonly url: string;
  readonly clientId: string;
  readonly version: "3.1.1" | "5";
  readonly clean: boolean;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** PEM texts for mqtts and wss. */
  readonly tls?:
    { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
  /** How long CONNACK and every other answer may take. */
  readonly answerMs: number;
  readonly clock: Clock;
}

/** What CONNACK said; the limits only in MQTT 5, and only where the broker states them. */
export interface Greeting {
  readonly sessionPresent: boolean;
  readonly maximumPacketSize?: number | undefined;
  readonly receiveMaximum?: number | undefined;
  readonly maximumQoS?: number | undefined;
  readonly retainAvailable?: boolean | undefined;
  readonly sharedSubscriptionAvailable?: boolean | undefined;
  readonly serverKeepAlive?: number | undefined;
}

/** From here on the broker refused: SUBACK's code in MQTT 3.1.1, and the first refusal of MQTT 5. */
const REFUSED = 128;

export class BareClient {
  readonly greeting: Greeting;
  /** What has arrived and was not yet waited for. */
  readonly received: { readonly topic: string; readonly payload: Uint8Array }[] = [];
  readonly #client: MqttClient;
  readonly #dial: BareDial;
  readonly #pending = new Set<(taken: boolean) => void>();
  #isOpen = true;

  private constructor(client: MqttClient, dial: BareDial, greeting: Greeting) {
    this.#client = client;
    this.#dial = dial;
    this.greeting = greeting;
    client.on("message", (topic, payload) => void this.received.push({ topic, payload }));
    client.on("close", () => {
      this.#isOpen = false;
      for (const done of [...this.#pending]) done(false);
    });
    client.on("error", () => undefined);
  }

  /** Throws ConfigError for a bad url, TransportError (with the broker's `code`) when it is refused or unreachable. */
  static connect(dial: BareDial): Promise<BareClient> {
    checkBrokerUrl(dial.url);
    const { username, password } = dial;
    const client = mqtt.connect(dial.url, {
      clientId: dial.clientId,
      clean: dial.clean,
      protocolVersion: dial.version === "5" ? 5 : 4,
      keepalive: 30,
      connectTimeout: dial.answerMs,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...dial.tls,
      ...(dial.version === "5" && !dial.clean ? { properties: { sessionExpiryInterval: 60 } } : {}),
    });
    return new Promise((resolve, reject) => {
      let cause: unknown;
      let isIn = false;
      client.on("error", (error) => {
        cause = error;
        client.end(true);
      });
      client.once("connect", ({ sessionPresent, properties }) => {
        isIn = true;
        resolve(new BareClient(client, dial, { sessionPresent, ...properties }));
      });
      client.once("close", () => {
        if (isIn) return;
        const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
        reject(new TransportError("cannot connect to the broker", { cause, code, url: dial.url }));
      });
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves with whether the broker took it: acknowledged with QoS 1, handed to the link with QoS 0. */
  publish(
    topic: string,
    payload: Uint8Array,
    options: { qos: 0 | 1; retain?: boolean },
  ): Promise<boolean> {
    const { qos, retain = false } = options;
    return this.#answer((done) => {
      this.#client.publish(topic, Buffer.from(payload), { qos, retain }, (error, packet) => {
        const code = packet && "reasonCode" in packet ? (packet.reasonCode ?? 0) : 0;
        done(!error && code < REFUSED);
      });
    });
  }

  /** Resolves with whether the broker granted it. */
  subscribe(filter: string): Promise<boolean> {
    return this.#answer((done) => {
      this.#client.subscribe(filter, { qos: 1 }, (error, granted, suback) => {
        const code = Number(suback?.granted[0] ?? granted?.[0]?.qos ?? REFUSED);
        done(!error && code < REFUSED);
      });
    });
  }

  /** Waits for a message that passes; undefined when none came in time. */
  async next(
    wanted: (topic: string, payload: Uint8Array) => boolean,
    withinMs: number,
  ): Promise<Uint8Array | undefined> {
    const { clock } = this.#dial;
    const endMs = clock.nowMs() + withinMs;
    for (;;) {
      const at = this.received.findIndex(({ topic, payload }) => wanted(topic, payload));
      if (at >= 0) return this.received.splice(at, 1)[0]?.payload;
      if (clock.nowMs() >= endMs) return undefined;
      await new Promise<void>((resolve) => void clock.after(10, resolve));
    }
  }

  /** Leaves in order. */
  async end(): Promise<void> {
    if (!this.#isOpen) return;
    const timer = this.#dial.clock.after(this.#dial.answerMs, () => this.#client.end(true));
    await new Promise<void>((resolve) => {
      this.#client.once("close", () => resolve());
      this.#client.end();
    });
    timer.cancel();
  }

  /** False when no answer comes in time or the link drops. */
  #answer(ask: (done: (taken: boolean) => void) => void): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.#isOpen) return resolve(false);
      const done = (taken: boolean): void => {
        timer.cancel();
        this.#pending.delete(done);
        resolve(taken);
      };
      const timer = this.#dial.clock.after(this.#dial.answerMs, () => done(false));
      this.#pending.add(done);
      ask(done);
    });
  }
}
