/** The coordinator's seal at work: counts what it refuses, and makes itself known to devices that speak to an earlier incarnation. */
import type { Clock } from "../base/clock.ts";
import type { MessageSeal, Refused } from "../security/sealed-transport.ts";
import type { TransportFactory } from "../transport/transport.ts";
import type { ControlChannel, ControlListener } from "./control-channel.ts";

/** An announcement reaches the whole fleet, so one answers all who are mistaken meanwhile. */
const REMIND_EVERY_MS = 1000;

export class SealGate {
  readonly #channel: ControlChannel;
  readonly #clock: Clock;
  #listener: ControlListener | null = null;
  #remindedMs = -Infinity;

  constructor(channel: ControlChannel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** From now on refusals are reported. */
  open(listener: ControlListener): void {
    this.#listener = listener;
  }

  /** Sealed connections; plain ones without a seal. */
  wrap(factory: TransportFactory, seal: MessageSeal | undefined): TransportFactory {
    return seal === undefined ? factory : seal.wrap(factory, (refused) => this.#refused(refused));
  }

  #refused({ device, reason, detail, epoch }: Refused): void {
    this.#listener?.dropped(device, reason, detail);
    if (reason === "wrong-session" && epoch !== null) this.#remind(epoch);
  }

  /** A device believes no incarnation older than the one it knows, so this one has to be newer. */
  #remind(epoch: number): void {
    const nowMs = this.#clock.nowMs();
    const isOutgrown = epoch > this.#channel.epoch && this.#channel.outgrow(epoch);
    if (!isOutgrown && nowMs < this.#remindedMs + REMIND_EVERY_MS) return;
    this.#remindedMs = nowMs;
    void this.#channel.announce("here");
  }
}
