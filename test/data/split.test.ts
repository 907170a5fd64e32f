/** Splits and samples: nothing twice, every label with its share. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import type { Example } from "../../src/data/examples.ts";
import { indicesByLabel, sampleExamples, stratifiedSplit } from "../../src/data/split.ts";

const exampleLists = fc
  .array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 80 })
  .map((labels) => labels.map((label, i): Example => ({ text: `${i}`, label: `${label}` })));

test("a split keeps every example once, in order, with its share of every label", () => {
  fc.assert(
    fc.property(exampleLists, fc.double({ min: 0, max: 1, noNaN: true }), (examples, ratio) => {
      const { train, test: held } = stratifiedSplit(examples, ratio, Rng.fromSeed(1));
      const order = (list: readonly Example[]) => list.map(({ text }) => Number(text));
      assert.deepEqual(
        [...order(train), ...order(held)].sort((a, b) => a - b),
        order(examples),
      );
      for (const part of [train, held]) {
        assert.deepEqual(
          order(part),
          order(part).sort((a, b) => a - b),
        );
      }
      for (const [label, indices] of indicesByLabel(examples)) {
        const numHeld = held.filter((example) => example.label === label).length;
        const wanted = Math.min(Math.max(indices.length * ratio, 1), indices.length - 1);
        assert.ok(Math.abs(numHeld - Math.max(0, wanted)) <= 0.5, `${numHeld} of ${wanted}`);
      }
    }),
  );
});

test("a sample has no example twice and stays in order", () => {
  const examples = Array.from({ length: 50 }, (_, i): Example => ({ text: `${i}`, label: "a" }));
  const sample = sampleExamples(examples, 20, Rng.fromSeed(3)).map(({ text }) => Number(text));
  assert.equal(new Set(sample).size, 20);
  assert.deepEqual(
    sample,
    [...sample].sort((a, b) => a - b),
  );
  assert.deepEqual(sampleExamples(examples, 99, Rng.fromSeed(3)), examples);
});
