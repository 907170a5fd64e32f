/** Notices two machines that share an id: their process starts take turns, while those of one machine follow each other. */
import type { Clock } from "../base/clock.ts";

/** Time within which turns are counted, and for which nobody may take one before the id is used again. */
export const QUARANTINE_MS = 60_000;
/** One start that comes back may be a message that was late. */
const TURNS = 2;

interface Speakers {
  readonly boots: Set<string>;
  last: string;
  turnsMs: number[];
  untilMs: number;
}

export class TwinWatch {
  readonly #clock: Clock;
  readonly #devices = new Map<string, Speakers>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A process start of the device says hello; true when that begins its quarantine. */
  hello(device: string, boot: string): boolean {
    const nowMs = this.#clock.nowMs();
    const known = this.#devices.get(device);
    const isOver = known !== undefined && known.untilMs > 0 && known.untilMs <= nowMs;
    if (known === undefined || isOver) {
      const fresh = { boots: new Set([boot]), last: boot, turnsMs: [], untilMs: 0 };
      this.#devices.set(device, fresh);
      return false;
    }
    const isTurn = boot !== known.last && known.boots.has(boot);
    known.boots.add(boot);
    known.last = boot;
    if (!isTurn) return false;
    known.turnsMs = [...known.turnsMs, nowMs].filter((atMs) => atMs > nowMs - QUARANTINE_MS);
    if (known.turnsMs.length < TURNS) return false;
    const begins = known.untilMs === 0;
    known.untilMs = nowMs + QUARANTINE_MS;
    return begins;
  }

  isQuarantined(device: string): boolean {
    return (this.#devices.get(device)?.untilMs ?? 0) > this.#clock.nowMs();
  }
}
