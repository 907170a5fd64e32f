/** Commands that their devices have not acknowledged: they are sent again as they are, for a broker may lose what it has acknowledged. */
import type { Clock, Timer } from "../base/clock.ts";

export interface CommandOutboxOptions {
  readonly clock: Clock;
  readonly publish: (device: string, payload: Uint8Array) => void;
}

interface Pending {
  readonly id: string;
  readonly payload: Uint8Array;
  numSent: number;
  timer: Timer;
}

/** Until the first repeat; it doubles with each. */
const ACK_TIMEOUT_MS = 5000;
/** After these it is left to the device, whose signs of life show what it does not know. */
const MAX_SENT = 5;

export class CommandOutbox {
  readonly #options: CommandOutboxOptions;
  /** By device and what the command is about: a newer one about the same takes its place. */
  readonly #pending = new Map<string, Map<string, Pending>>();

  constructor(options: CommandOutboxOptions) {
    this.#options = options;
  }

  /** Expects an acknowledgement of a command that was just published. */
  sent(device: string, about: string, id: string, payload: Uint8Array): void {
    const own = this.#pending.get(device) ?? new Map<string, Pending>();
    this.#pending.set(device, own);
    own.get(about)?.timer.cancel();
    const pending = { id, payload, numSent: 1, timer: this.#later(device, about, 1) };
    own.set(about, pending);
  }

  acknowledged(device: string, id: string): void {
    const own = this.#pending.get(device);
    const found = [...(own ?? [])].find(([, pending]) => pending.id === id);
    if (found !== undefined) this.#drop(device, found[0]);
  }

  /** Forgets what waits for a device. */
  forget(device: string): void {
    for (const about of this.#pending.get(device)?.keys() ?? []) this.#drop(device, about);
  }

  close(): void {
    for (const device of [...this.#pending.keys()]) this.forget(device);
  }

  #later(device: string, about: string, numSent: number): Timer {
    const delayMs = ACK_TIMEOUT_MS * 2 ** (numSent - 1);
    return this.#options.clock.after(delayMs, () => this.#repeat(device, about));
  }

  #repeat(device: string, about: string): void {
    const pending = this.#pending.get(device)?.get(about);
    if (pending === undefined) return;
    if (pending.numSent >= MAX_SENT) return this.#drop(device, about);
    this.#options.publish(device, pending.payload);
    pending.numSent += 1;
    pending.timer = this.#later(device, about, pending.numSent);
  }

  #drop(device: string, about: string): void {
    const own = this.#pending.get(device);
    own?.get(about)?.timer.cancel();
    own?.delete(about);
    if (own?.size === 0) this.#pending.delete(device);
  }
}
