/** Wraps one side's messages: gives each its id and its place in the sender's sequence. */
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { encodeControl, newMessageId } from "./envelope.ts";
import { type Message, toTypeAndBody } from "./messages.ts";
import { PROTOCOL_VERSION } from "./version.ts";

export interface Addressing {
  /** The device that the message is from or for; a fleet-wide one carries the fleet's name. */
  readonly device: string;
  readonly epoch: number;
  readonly round: number;
}

export class MessageStamp {
  readonly #clock: Clock;
  readonly #rng: Rng;
  #seq = 0;

  constructor(clock: Clock, rng: Rng) {
    this.#clock = clock;
    this.#rng = rng;
  }

  /** The bytes of the message. Throws ProtocolError when it is too large. */
  encode(message: Message, addressing: Addressing): Uint8Array {
    return this.stamp(message, addressing).payload;
  }

  /** The same with the id that it got, for messages that are answered or sent again. */
  stamp(
    message: Message,
    { device, epoch, round }: Addressing,
  ): { readonly id: string; readonly payload: Uint8Array } {
    const id = newMessageId(this.#clock.nowMs(), this.#rng);
    const seq = ++this.#seq;
    const payload = encodeControl({
      v: PROTOCOL_VERSION,
      id,
      dev: device,
      epoch,
      round,
      seq,
      ...toTypeAndBody(message),
    });
    return { id, payload };
  }
}
