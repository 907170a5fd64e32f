/** The moving average of scores: its weights, units that go and come back, bad steps, and continuation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError } from "../../src/base/errors.ts";
import { fullStructure, type Structure } from "../../src/base/structure.ts";
import { ScoreKeeper } from "../../src/pruning/keeper.ts";
import { scoresOf, type UnitScores } from "../../src/pruning/unit-scores.ts";
import { must } from "../support/must.ts";

const counts = { layers: 2, heads: 2, ffn: 3 };
const full = fullStructure(counts);
const pruned: Structure = {
  layers: [
    { heads: [1], ffn: [0, 2] },
    { heads: [0, 1], ffn: [1] },
  ],
};

const constant = (value: number): UnitScores => scoresOf(counts, () => value);

function close(got: number | undefined, want: number): void {
  assert.ok(Math.abs(must(got) - want) <= 1e-6 * Math.abs(want), `${got}, wanted ${want}`);
}

test("the first step counts whole, and later ones push it back at the rate of the decay", () => {
  const keeper = new ScoreKeeper(counts);
  keeper.update(constant(8), full, 0.5);
  close(keeper.scores()[0]?.heads[0], 8);
  keeper.update(constant(2), full, 0.5);
  // Weights 1/4 and 1/2 of the two steps so far.
  close(keeper.scores()[0]?.heads[0], (8 / 4 + 2 / 2) / (3 / 4));
  keeper.update(constant(5), full, 0);
  close(keeper.scores()[1]?.ffn[2], 5);
});

test("scores of a pruned model land on their original units, and units that are gone keep theirs", () => {
  const keeper = new ScoreKeeper(counts);
  keeper.update(constant(1), full, 0);
  const step = [
    { heads: Float64Array.of(10), ffn: Float64Array.of(20, 30) },
    { heads: Float64Array.of(40, 50), ffn: Float64Array.of(60) },
  ];
  keeper.update(step, pruned, 0);
  const [first, second] = keeper.scores();
  assert.deepEqual([...must(first).heads], [1, 10]);
  assert.deepEqual([...must(first).ffn], [20, 1, 30]);
  assert.deepEqual([...must(second).heads], [40, 50]);
  assert.deepEqual([...must(second).ffn], [1, 60, 1]);
});

test("what was never scored is 0 and not known", () => {
  const keeper = new ScoreKeeper(counts);
  assert.ok(!keeper.knows(pruned));
  const step = [
    { heads: Float64Array.of(0), ffn: Float64Array.of(1, 1) },
    { heads: Float64Array.of(1, 1), ffn: Float64Array.of(1) },
  ];
  keeper.update(step, pruned, 0.9);
  assert.ok(keeper.knows(pruned), "a score of 0 is a score");
  assert.ok(!keeper.knows(full));
  assert.equal(keeper.scores()[0]?.heads[0], 0);
});

test("a step with a score that is not finite counts for no unit, and is counted", () => {
  for (const bad of [NaN, Infinity]) {
    const keeper = new ScoreKeeper(counts);
    keeper.update(constant(3), full, 0.9);
    const before = keeper.scores();
    const spoilt = scoresOf(counts, (layer, kind, id) =>
      layer === 1 && kind === "ffn" && id === 2 ? bad : 7,
    );
    keeper.update(spoilt, full, 0.9);
    assert.deepEqual(keeper.scores(), before);
    assert.equal(keeper.ignoredSteps, 1);
  }
});

test("an average that was saved continues to the bit", () => {
  const [whole, first] = [new ScoreKeeper(counts), new ScoreKeeper(counts)];
  const steps = [0.1, 0.7, 1e-9, 123].map(constant);
  for (const step of steps) whole.update(step, full, 0.9);
  for (const step of steps.slice(0, 2)) first.update(step, full, 0.9);
  const second = new ScoreKeeper(counts);
  second.restore(first.export(), "a test");
  for (const step of steps.slice(2)) second.update(step, full, 0.9);
  assert.deepEqual(second.scores(), whole.scores());
});

test("the averages of another model are refused", () => {
  const other = new ScoreKeeper({ ...counts, ffn: 4 });
  assert.throws(() => new ScoreKeeper(counts).restore(other.export(), "a test"), CheckpointError);
  assert.throws(() => new ScoreKeeper(counts).restore(new Map(), "a test"), CheckpointError);
});
