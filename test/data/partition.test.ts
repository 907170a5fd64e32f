/** Dealing examples out to devices: complete, seeded, as skewed as asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import type { Example } from "../../src/data/examples.ts";
import { labelSkew, partition, type PartitionPlan } from "../../src/data/partition.ts";

function examplesOf(count: number, numLabels: number, numGroups: number): Example[] {
  return Array.from({ length: count }, (_, i) => ({
    text: `example ${i}`,
    label: `label ${i % numLabels}`,
    group: `group ${Math.floor(Math.sqrt(i)) % numGroups}`,
  }));
}

const plans: fc.Arbitrary<PartitionPlan> = fc.oneof(
  fc.constant<PartitionPlan>({ kind: "iid" }),
  fc.constant<PartitionPlan>({ kind: "group" }),
  fc.record({
    kind: fc.constant("dirichlet" as const),
    alpha: fc.double({ min: 0.01, max: 100, noNaN: true }),
    minExamples: fc.integer({ min: 0, max: 5 }),
  }),
);

test("every example goes to exactly one of as many parts as asked for", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 300 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 20 }),
      plans,
      fc.integer(),
      (count, numLabels, numGroups, numParts, plan, seed) => {
        const examples = examplesOf(count, numLabels, numGroups);
        const parts = partition(examples, numParts, plan, Rng.fromSeed(seed));
        assert.equal(parts.length, numParts);
        const dealt = parts.flatMap(({ indices }) => indices).sort((a, b) => a - b);
        assert.deepEqual(
          dealt,
          examples.map((_, index) => index),
        );
        const floor = plan.kind === "dirichlet" ? plan.minExamples : 0;
        for (const { indices } of parts) assert.ok(indices.length >= floor);
        const sizes = parts.map(({ indices }) => indices.length);
        if (plan.kind === "iid") assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
      },
    ),
    { numRuns: 200 },
  );
});

test("the same seed deals alike and another one differently", () => {
  const examples = examplesOf(200, 4, 3);
  for (const plan of [
    { kind: "iid" },
    { kind: "dirichlet", alpha: 0.5, minExamples: 1 },
  ] as const) {
    const deal = (seed: number) => partition(examples, 5, plan, Rng.fromSeed(seed));
    assert.deepEqual(deal(1), deal(1));
    assert.notDeepEqual(deal(1), deal(2));
  }
});

test("a smaller alpha skews the labels more", () => {
  const examples = examplesOf(4000, 8, 1);
  const skewAt = (alpha: number): number => {
    const plan = { kind: "dirichlet", alpha, minExamples: 0 } as const;
    const skews = [1, 2, 3].map((seed) =>
      labelSkew(examples, partition(examples, 8, plan, Rng.fromSeed(seed))),
    );
    return skews.reduce((sum, skew) => sum + skew, 0) / skews.length;
  };
  const iid = labelSkew(examples, partition(examples, 8, { kind: "iid" }, Rng.fromSeed(1)));
  assert.ok(iid < 0.06, `iid ${iid}`);
  assert.ok(skewAt(100) < 0.12, `alpha 100 ${skewAt(100)}`);
  assert.ok(skewAt(1) > 0.2 && skewAt(1) < 0.5, `alpha 1 ${skewAt(1)}`);
  assert.ok(skewAt(0.1) > 0.55, `alpha 0.1 ${skewAt(0.1)}`);
});

test("one label per part measures as the share of the other labels", () => {
  const examples = examplesOf(100, 4, 1);
  const parts = [0, 1, 2, 3].map((label) => ({
    name: `${label}`,
    indices: examples.flatMap((_, index) => (index % 4 === label ? [index] : [])),
  }));
  assert.ok(Math.abs(labelSkew(examples, parts) - 0.75) < 1e-12);
});

test("groups become parts; they share where parts are few and are cut where parts are many", () => {
  const sizes = { a: 60, b: 30, c: 10 };
  const examples = Object.entries(sizes).flatMap(([group, size]) =>
    Array.from({ length: size }, (): Example => ({ text: "t", label: "l", group })),
  );
  const deal = (numParts: number) =>
    partition(examples, numParts, { kind: "group" }, Rng.fromSeed(1)).map(
      ({ name, indices }) => `${name} ${indices.length}`,
    );
  assert.deepEqual(deal(3), ["a 60", "b 30", "c 10"]);
  assert.deepEqual(deal(2), ["a 60", "b+c 40"]);
  assert.deepEqual(deal(5), ["a-1 20", "a-2 20", "a-3 20", "b 30", "c 10"]);
});

test("impossible wishes are errors", () => {
  const examples = examplesOf(10, 2, 2);
  const rng = Rng.fromSeed(1);
  assert.throws(() => partition(examples, 0, { kind: "iid" }, rng), /at least one part/);
  assert.throws(
    () => partition(examples, 3, { kind: "dirichlet", alpha: 1, minExamples: 4 }, rng),
    /3 parts of at least 4, got 10 examples/,
  );
  assert.throws(
    () => partition(examples, 3, { kind: "dirichlet", alpha: 0, minExamples: 1 }, rng),
    /alpha above 0/,
  );
  assert.throws(
    () => partition([{ text: "t", label: "l" }], 1, { kind: "group" }, rng),
    /none for example 1/,
  );
  assert.throws(() => partition([], 2, { kind: "group" }, rng), /there are no examples/);
});
