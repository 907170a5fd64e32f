/** What a device says to its coordinator: each message with an id of its own, one that is said until it is answered always the same. */
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { type Addressing, MessageStamp } from "../protocol/message-stamp.ts";
import type { DeviceMessage } from "../protocol/messages.ts";
import type { DeviceTopics } from "../protocol/topics.ts";
import type { Transport } from "../transport/transport.ts";

export class EventSender {
  readonly #topics: DeviceTopics;
  readonly #stamp: MessageStamp;
  #transport: Transport | null = null;
  #said: { readonly key: string; readonly payload: Uint8Array } | null = null;

  constructor(topics: DeviceTopics, clock: Clock, rng: Rng) {
    this.#topics = topics;
    this.#stamp = new MessageStamp(clock, rng);
  }

  /** Nothing leaves before. */
  open(transport: Transport): void {
    this.#transport = transport;
  }

  send(message: DeviceMessage, from: Omit<Addressing, "device">): Promise<void> {
    return this.publish(this.#topics.evt, this.#encode(message, from), false);
  }

  /** A repeat has the same id, so that it is answered as the first one was. */
  sendAgain(message: DeviceMessage, from: Omit<Addressing, "device">): Promise<void> {
    const key = JSON.stringify([message, from]);
    if (this.#said?.key !== key) this.#said = { key, payload: this.#encode(message, from) };
    return this.publish(this.#topics.evt, this.#said.payload, false);
  }

  async publish(topic: string, payload: Uint8Array, retain: boolean): Promise<void> {
    try {
      await this.#transport?.publish(topic, payload, { qos: 1, retain });
    } catch {
      // The link is down or the acknowledgement was lost; the next sign of life repeats what still matters.
    }
  }

  #encode(message: DeviceMessage, from: Omit<Addressing, "device">): Uint8Array {
    return this.#stamp.encode(message, { device: this.#topics.device, ...from });
  }
}
