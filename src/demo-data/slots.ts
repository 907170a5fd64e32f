/** Fills the slots of a phrase: things of the kind of gateway by its tables, numbers and names by chance. */
import { FedspineError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { KindSlot, KindTable, Phrases } from "./tables.ts";

const USERS = ["admin", "root", "operator", "service", "jlopez", "guest", "mbauer", "support"];
const COLLEAGUES = ["Ben", "Carla", "Emil", "Hana", "Igor", "Lena", "Nils", "Rosa", "Tom", "Yara"];
const PERSONS = ["Anna", "Chen", "Dario", "Fatima", "Ines", "Jonas", "Mika", "Olga", "Piet", "Sam"];

/** Numbers and names that mean nothing for the class. */
const VALUES: Readonly<Record<string, (rng: Rng) => string>> = {
  code: (rng) => `${rng.pick(["A", "E", "F", "W"])}${between(rng, 10, 99)}`,
  colleague: (rng) => rng.pick(COLLEAGUES),
  count: (rng) => `${between(rng, 3, 40)}`,
  digit: (rng) => `${between(rng, 1, 3)}`,
  high: (rng) => `${between(rng, 88, 99)}`,
  hot: (rng) => `${between(rng, 82, 110)}`,
  huge: (rng) => rng.pick(["-273", "-999", "6553.5", "32767", "9999", "-127"]),
  ip: (rng) => `10.${between(rng, 0, 40)}.${between(rng, 0, 255)}.${between(rng, 2, 254)}`,
  limit: (rng) => `${between(rng, 60, 80)}`,
  low: (rng) => `${between(rng, 2, 9)}`,
  minutes: (rng) => `${between(rng, 2, 59)}`,
  node: (rng) => `gw-${between(rng, 10, 99)}`,
  percent: (rng) => `${between(rng, 21, 97)}`,
  person: (rng) => rng.pick(PERSONS),
  small: (rng) =>
    `${between(rng, 1, 8)}.${between(rng, 1, 9)} ${rng.pick(["%", "units", "points"])}`,
  time: (rng) => `${twoDigits(between(rng, 0, 23))}:${twoDigits(between(rng, 0, 59))}`,
  user: (rng) => rng.pick(USERS),
  version: (rng) => `${between(rng, 1, 5)}.${between(rng, 0, 19)}.${between(rng, 0, 9)}`,
  volts: (rng) => `${between(rng, 224, 236)}`,
};

/** One line's choices: a slot keeps its value wherever it comes again in the line. */
export class LineWriter {
  readonly #rng: Rng;
  readonly #kind: KindTable;
  readonly #heldOutShare: number;
  readonly #chosen = new Map<string, string>();

  /** `heldOutShare`: how often a choice falls on what training never shows, 0..1. */
  constructor(rng: Rng, kind: KindTable, heldOutShare: number) {
    this.#rng = rng;
    this.#kind = kind;
    this.#heldOutShare = heldOutShare;
  }

  /** Gives a slot its value for the rest of the line. */
  bind(slot: string, value: string): void {
    this.#chosen.set(slot, value);
  }

  /** One of the held-out or one of the common items. */
  choose<T>({ common, heldOut }: { common: readonly T[]; heldOut: readonly T[] }): T {
    const isHeldOut = heldOut.length > 0 && this.#rng.next() < this.#heldOutShare;
    return this.#rng.pick(isHeldOut ? heldOut : common);
  }

  /** A phrase with its choices made and its slots filled. */
  phrase(phrases: Phrases): string {
    return this.fill(this.choose(phrases));
  }

  fill(template: string): string {
    return template
      .replace(/\[([^\]|]*(?:\|[^\]]*)+)\]/g, (_, options: string) =>
        this.#rng.pick(options.split("|")),
      )
      .replace(/\{(\w+)\}/g, (_, slot: string) => this.#value(slot));
  }

  #value(slot: string): string {
    const known = this.#chosen.get(slot);
    if (known !== undefined) return known;
    const phrases = this.#kind.slots[slot as KindSlot] as Phrases | undefined;
    const draw = VALUES[slot];
    const value = phrases === undefined ? draw?.(this.#rng) : this.choose(phrases);
    if (value === undefined) throw new FedspineError(`no values for the slot {${slot}}`);
    this.#chosen.set(slot, value);
    return value;
  }
}

function between(rng: Rng, low: number, high: number): number {
  return low + rng.int(high - low + 1);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
