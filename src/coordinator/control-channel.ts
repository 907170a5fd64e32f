/** The coordinator's end of the control messages: reads events of all devices, sends commands to one, announces itself to all. */
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { decodeControl, newMessageId } from "../protocol/envelope.ts";
import { MessageStamp } from "../protocol/message-stamp.ts";
import {
  type CoordinatorMessage,
  type DeviceMessage,
  readCoordinatorMessage,
  readDeviceMessage,
} from "../protocol/messages.ts";
import { type FleetTopics, parseTopic } from "../protocol/topics.ts";
import type { Transport, Will } from "../transport/transport.ts";
import { CommandOutbox } from "./command-outbox.ts";

/** Epochs travel as unsigned 32-bit numbers in data frames. */
const MAX_EPOCH = 2 ** 32 - 1;

/** What devices say, but for the acknowledgements. */
export type HeardMessage = Exclude<DeviceMessage, { kind: "ack" }>;

export interface MessageOrigin {
  /** The incarnation that the device believes in. */
  readonly epoch: number;
  /** Of the message; a repeat has the same. */
  readonly id: string;
}

export interface ControlListener {
  heard(device: string, message: HeardMessage, origin: MessageOrigin): void;
  dropped(device: string | null, reason: string, detail: string): void;
  /** Another coordinator of the same fleet with a newer incarnation is at work. */
  displaced(): void;
}

export class ControlChannel {
  readonly #topics: FleetTopics;
  readonly #stamp: MessageStamp;
  readonly #boot: string;
  readonly #outbox: CommandOutbox;
  #epoch: number;
  #transport: Transport | null = null;

  constructor(topics: FleetTopics, epoch: number, clock: Clock, rng: Rng) {
    this.#topics = topics;
    this.#epoch = epoch;
    this.#stamp = new MessageStamp(clock, rng);
    this.#boot = newMessageId(clock.nowMs(), rng);
    this.#outbox = new CommandOutbox({
      clock,
      publish: (device, payload) => void this.#publish(topics.device(device).cmd, payload, false),
    });
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** What the broker tells the fleet when the coordinator dies. */
  will(): Will {
    return { topic: this.#topics.epoch, payload: this.#announcement("gone"), qos: 1, retain: true };
  }

  async open(transport: Transport, listener: ControlListener): Promise<void> {
    this.#transport = transport;
    await transport.subscribe(this.#topics.epoch, (_, payload) =>
      this.#readEpoch(payload, listener),
    );
    for (const channel of ["evt", "st"] as const) {
      await transport.subscribe(this.#topics.everyDevice(channel), (topic, payload) => {
        this.#readEvent(topic, payload, listener);
      });
    }
    await this.announce("here");
  }

  /** Publishes the incarnation, retained. Resolves also when the link is down: it is announced again on every connect. */
  announce(status: "here" | "gone" | "ended"): Promise<void> {
    return this.#publish(this.#topics.epoch, this.#announcement(status), true);
  }

  /** Sends to one device; states and answers again until it has acknowledged them. */
  send(device: string, message: CoordinatorMessage, round: number): Promise<void> {
    const { id, payload } = this.#stamp.stamp(message, { device, epoch: this.#epoch, round });
    if (message.kind === "state") this.#outbox.sent(device, "state", id, payload);
    else if ("root" in message) this.#outbox.sent(device, message.root, id, payload);
    return this.#publish(this.#topics.device(device).cmd, payload, false);
  }

  /** A device that is gone gets everything anew when it is back. */
  forget(device: string): void {
    this.#outbox.forget(device);
  }

  close(): void {
    this.#outbox.close();
  }

  /** Becomes newer than an incarnation that was seen in the fleet; false when there is no room above it. */
  outgrow(epoch: number): boolean {
    if (epoch >= MAX_EPOCH) return false;
    this.#epoch = Math.max(this.#epoch, epoch + 1);
    return true;
  }

  async #publish(topic: string, payload: Uint8Array, retain: boolean): Promise<void> {
    try {
      await this.#transport?.publish(topic, payload, { qos: 1, retain });
    } catch {
      // The link is down or the acknowledgement was lost; heartbeats reconcile what the device does not know.
    }
  }

  #announcement(status: "here" | "gone" | "ended"): Uint8Array {
    const address = { device: this.#topics.fleet, epoch: this.#epoch, round: 0 };
    return this.#stamp.encode({ kind: "epoch", boot: this.#boot, status }, address);
  }

  #readEpoch(payload: Uint8Array, listener: ControlListener): void {
    const control = decodeControl(payload);
    if (!control.ok) return listener.dropped(null, control.reason, control.detail);
    const message = readCoordinatorMessage(control.value);
    if (!message.ok) return listener.dropped(null, message.reason, message.detail);
    if (message.value.kind !== "epoch" || message.value.boot === this.#boot) return;
    const { epoch } = control.value;
    const { boot, status } = message.value;
    const isNewer = epoch > this.#epoch || (epoch === this.#epoch && boot > this.#boot);
    if (isNewer && status === "here") return listener.displaced();
    // What is retained now is not this incarnation: say again who is here.
    if (epoch < this.#epoch || this.outgrow(epoch)) void this.announce("here");
  }

  #readEvent(topic: string, payload: Uint8Array, listener: ControlListener): void {
    const place = parseTopic(topic);
    if (place?.device === undefined)
      return listener.dropped(null, "wrong-topic", topic.slice(0, 200));
    // An empty retained message clears a device's presence.
    if (payload.byteLength === 0) return;
    const control = decodeControl(payload);
    if (!control.ok) return listener.dropped(place.device, control.reason, control.detail);
    if (control.value.dev !== place.device) {
      return listener.dropped(
        place.device,
        "wrong-sender",
        `a message in the name of ${control.value.dev}`,
      );
    }
    const message = readDeviceMessage(control.value);
    if (!message.ok) return listener.dropped(place.device, message.reason, message.detail);
    const isPresence = message.value.kind === "presence";
    if (isPresence !== (place.channel === "st")) {
      return listener.dropped(
        place.device,
        "wrong-topic",
        `${message.value.kind} on ${place.channel}`,
      );
    }
    const heard = message.value;
    if (heard.kind === "ack") return this.#outbox.acknowledged(place.device, heard.of);
    const { epoch, id } = control.value;
    listener.heard(place.device, heard, { epoch, id });
  }
}
