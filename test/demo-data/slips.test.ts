/** Typing slips: where they may fall and where never. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { typedByHand } from "../../src/demo-data/slips.ts";
import { ABBREVIATIONS, DECIDING_WORDS } from "../../src/demo-data/styles.ts";

test("slips keep the ends of a word and change its inside by one letter", () => {
  const rng = Rng.fromSeed(1);
  const forms = new Set<string>();
  for (let i = 0; i < 2000; i++) forms.add(typedByHand("compressor", rng));
  assert.ok(forms.size > 10);
  for (const form of forms) {
    assert.match(form, /^c[a-z]{7,9}r$/);
    assert.ok(Math.abs(form.length - "compressor".length) <= 1, form);
  }
});

test("deciding words, short words, names, codes and numbers are never touched", () => {
  const rng = Rng.fromSeed(1);
  const text = `${[...DECIDING_WORDS].join(" ")} no leak Fatima W53 4.12.1 gw-20`;
  for (let i = 0; i < 200; i++) assert.equal(typedByHand(text, rng), text);
});

test("known long words are often shortened", () => {
  const rng = Rng.fromSeed(1);
  const shortened = Array.from({ length: 500 }, () => typedByHand("temperature", rng)).filter(
    (word) => word === ABBREVIATIONS.temperature,
  ).length;
  assert.ok(shortened > 150 && shortened < 250, `${shortened}`);
});
