/**
 * Synthetic events of gateways for triage: seeded, labelled lines in which words alone do not always
 * tell the class. See docs/demo-data.md.
 */
import { ConfigError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import type { Example } from "../data/examples.ts";
import { EVENT_CLASSES } from "./classes.ts";
import { CONTRASTS } from "./contrasts.ts";
import { CHAIN_PAIRS, CHAINS, FINDING_PAIRS, FINDINGS } from "./frames.ts";
import { KINDS } from "./kinds.ts";
import { LineWriter } from "./slots.ts";
import { typedByHand } from "./slips.ts";
import { STYLES } from "./styles.ts";
import {
  GATEWAY_KINDS,
  type ContrastSet,
  type EventClass,
  type EventLabel,
  type GatewayKind,
  type LabelPair,
  type Phrases,
} from "./tables.ts";

export interface EventOptions {
  readonly seed: number | string;
  readonly count: number;
  /** All of them by default. */
  readonly kinds?: readonly GatewayKind[];
  /** Test lines also use phrases and things that no training line shows. */
  readonly part?: "train" | "test";
}

/** How an event is put into words. */
type Form = "statement" | "finding" | "chain" | "contrast";

const FORM_WEIGHTS: Readonly<Record<Form, number>> = {
  statement: 50,
  contrast: 40,
  finding: 6,
  chain: 4,
};
/** Per choice, of which a line makes about two: three of ten test lines hold something unseen. */
const TEST_HELD_OUT_SHARE = 0.15;
const MIN_WORDS = 8;
const MAX_WORDS = 40;

/** `count` different lines, kinds in turn, each with its kind as group. Throws ConfigError. */
export function generateEvents({
  seed,
  count,
  kinds = GATEWAY_KINDS,
  part = "train",
}: EventOptions): Example[] {
  const unknown = kinds.find((kind) => !GATEWAY_KINDS.includes(kind));
  if (kinds.length === 0 || unknown !== undefined) {
    throw new ConfigError("kinds of gateway", {
      expected: GATEWAY_KINDS.join(", "),
      got: unknown ?? "none",
    });
  }
  const rng = Rng.fromSeed(seed).fork(`demo-data/${part}`);
  const seen = new Set<string>();
  const examples: Example[] = [];
  while (examples.length < count) {
    const group = kinds[examples.length % kinds.length] as GatewayKind;
    const label = weighted(KINDS[group].mix, rng);
    const text = writeEvent(group, label, part, rng);
    const numWords = text.split(/\s+/).length;
    if (seen.has(text) || numWords < MIN_WORDS || numWords > MAX_WORDS) continue;
    seen.add(text);
    examples.push({ text, label, group });
  }
  return examples;
}

function writeEvent(
  kind: GatewayKind,
  label: EventLabel,
  part: "train" | "test",
  rng: Rng,
): string {
  const table = KINDS[kind];
  const writer = new LineWriter(rng, table, part === "test" ? TEST_HELD_OUT_SHARE : 0);
  const style = STYLES[weighted(table.styles, rng)];
  const opening = writer.fill(rng.pick(style.openings));
  const event = describe(label, writer, rng);
  const closing = writer.fill(rng.pick(style.closings));
  const text = opening + event + closing;
  return style.isTyped ? typedByHand(text, rng) : text;
}

function describe(label: EventLabel, writer: LineWriter, rng: Rng): string {
  const { statements, names, clauses } = EVENT_CLASSES[label];
  const other = (pairs: readonly LabelPair[]): EventClass =>
    EVENT_CLASSES[rng.pick(partnersOf(label, pairs))];
  switch (weighted(FORM_WEIGHTS, rng)) {
    case "finding":
      writer.bind("a", writer.phrase(names));
      writer.bind("b", writer.phrase(other(FINDING_PAIRS).names));
      return writer.phrase(FINDINGS);
    case "chain": {
      if (clauses === undefined) return writer.phrase(statements);
      writer.bind("a", writer.phrase(clauses));
      writer.bind("b", writer.phrase(other(CHAIN_PAIRS).clauses ?? names));
      return writer.phrase(CHAINS);
    }
    case "contrast":
      return writer.phrase(contrastsOf(label));
    case "statement":
      return writer.phrase(statements);
  }
}

function partnersOf(label: EventLabel, pairs: readonly LabelPair[]): EventLabel[] {
  return pairs.flatMap(([a, b]) => (a === label ? [b] : b === label ? [a] : []));
}

function contrastsOf(label: EventLabel): Phrases {
  const texts = (sets: readonly ContrastSet[]): string[] => sets.flatMap((set) => set[label] ?? []);
  return { common: texts(CONTRASTS.common), heldOut: texts(CONTRASTS.heldOut) };
}

/** A key, with chances in proportion to the weights. */
function weighted<K extends string>(weights: Readonly<Record<K, number>>, rng: Rng): K {
  const keys = Object.keys(weights) as K[];
  let rest = rng.next() * keys.reduce((sum, key) => sum + weights[key], 0);
  const found = keys.find((key) => (rest -= weights[key]) < 0);
  // Rounding can leave nothing to the last key.
  return found ?? (keys[keys.length - 1] as K);
}
