/** The tables behind the generated events: complete and without repetition. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { wordsOf } from "../../src/data/bag-of-words.ts";
import { EVENT_CLASSES } from "../../src/demo-data/classes.ts";
import { CONTRASTS } from "../../src/demo-data/contrasts.ts";
import { CHAIN_PAIRS, CHAINS, FINDING_PAIRS, FINDINGS } from "../../src/demo-data/frames.ts";
import { KINDS } from "../../src/demo-data/kinds.ts";
import { EVENT_LABELS, type Phrases } from "../../src/demo-data/tables.ts";

const contrasts = [...CONTRASTS.common, ...CONTRASTS.heldOut];

test("every class has statements, names and contrasts, with some held out", () => {
  for (const label of EVENT_LABELS) {
    const { statements, names } = EVENT_CLASSES[label];
    for (const { common, heldOut } of [statements, names]) {
      assert.ok(common.length >= 3 && heldOut.length >= 2, label);
    }
    assert.ok(CONTRASTS.common.filter((set) => set[label] !== undefined).length >= 2, label);
  }
});

test("no phrase stands in a table twice", () => {
  const lists: Phrases[] = [
    ...Object.values(EVENT_CLASSES).flatMap(({ statements, names, clauses }) =>
      clauses === undefined ? [statements, names] : [statements, names, clauses],
    ),
    FINDINGS,
    CHAINS,
  ];
  const phrases = [
    ...lists.flatMap(({ common, heldOut }) => [...common, ...heldOut]),
    ...contrasts.flatMap((set) => Object.values(set)),
  ];
  assert.equal(new Set(phrases).size, phrases.length);
});

test("classes in a pair can both be put into the frame, and no pair comes twice", () => {
  for (const pairs of [FINDING_PAIRS, CHAIN_PAIRS]) {
    const keys = pairs.map((pair) => [...pair].sort().join(" "));
    assert.equal(new Set(keys).size, pairs.length);
    assert.ok(pairs.every(([a, b]) => a !== b));
  }
  for (const label of EVENT_LABELS) {
    assert.ok(FINDING_PAIRS.flat().includes(label), label);
    assert.equal(CHAIN_PAIRS.flat().includes(label), EVENT_CLASSES[label].clauses !== undefined);
  }
});

test("the texts of a contrast set differ by few words", () => {
  for (const set of contrasts) {
    const bags = Object.values(set).map((text) => new Set(wordsOf(text)));
    assert.ok(bags.length >= 2);
    const [first = new Set<string>(), ...others] = bags;
    for (const other of others) {
      const onlyOne = [...first, ...other].filter((word) => !(first.has(word) && other.has(word)));
      assert.ok(onlyOne.length <= 6, `${Object.values(set).join(" / ")}: ${onlyOne.join(" ")}`);
    }
  }
  const equal = contrasts.filter((set) => {
    const bags = Object.values(set).map((text) => wordsOf(text).sort().join(" "));
    return new Set(bags).size < bags.length;
  });
  assert.ok(equal.length > contrasts.length / 2, `${equal.length} of ${contrasts.length}`);
});

test("the kinds of gateway share no fans, valves or sensors", () => {
  for (const slot of ["fan", "valve", "sensor"] as const) {
    const values = Object.values(KINDS).flatMap(({ slots }) => [
      ...slots[slot].common,
      ...slots[slot].heldOut,
    ]);
    assert.equal(new Set(values).size, values.length);
  }
});
