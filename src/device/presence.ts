/** The retained message that says whether a device is connected; the broker sends its other half when the link dies. */
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { MessageStamp } from "../protocol/message-stamp.ts";
import type { DeviceTopics } from "../protocol/topics.ts";
import type { Will } from "../transport/transport.ts";

export class Presence {
  /** Names this process start, so that a late will of an earlier one is told apart. */
  readonly boot: string;
  readonly #topics: DeviceTopics;
  readonly #stamp: MessageStamp;

  constructor(topics: DeviceTopics, boot: string, clock: Clock, rng: Rng) {
    this.boot = boot;
    this.#topics = topics;
    this.#stamp = new MessageStamp(clock, rng);
  }

  payload(online: boolean): Uint8Array {
    const { device } = this.#topics;
    const message = { kind: "presence", boot: this.boot, online } as const;
    return this.#stamp.encode(message, { device, epoch: 0, round: 0 });
  }

  will(): Will {
    return { topic: this.#topics.st, payload: this.payload(false), qos: 1, retain: true };
  }
}
