/** The parts of the bandits: intervals that are refined, experience that is shared, rewards that compare. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import type { Outcome } from "../../../src/strategies/controllers/controller.ts";
import { draw, reward } from "../../../src/strategies/controllers/factor-bandit.ts";
import { record, split, wholeRange } from "../../../src/strategies/controllers/interval-tree.ts";
import { rewardParts, type RewardParts } from "../../../src/strategies/controllers/reward.ts";
import { addSample, noSamples, surely } from "../../../src/strategies/controllers/samples.ts";
import { emptyPrior } from "../../../src/strategies/controllers/type-prior.ts";

const settings = { discount: 0.95, exploration: 0.3, splitAfter: 4, prior: 3 };

/** Plays one factor whose reward peaks at `peak`, and gives the mean position of the last third of the draws. */
function learnt(peak: number, numDraws: number, type = emptyPrior()): number {
  const rng = Rng.fromSeed(1);
  const leaves = wholeRange();
  const positions: number[] = [];
  for (let i = 0; i < numDraws; i++) {
    const position = draw(leaves, type, settings, rng);
    const value = 1 - Math.abs(position - peak) + 0.05 * rng.normal();
    reward(leaves, type, { position, value, finest: 0.1 }, settings);
    positions.push(position);
  }
  const last = positions.slice(-Math.ceil(numDraws / 3));
  return last.reduce((sum, position) => sum + position, 0) / last.length;
}

test("a factor's draws gather where the reward is, at either end", () => {
  assert.ok(learnt(0.9, 120) > 0.6);
  assert.ok(learnt(0.1, 120) < 0.4);
});

test("a new device of a known type starts where its like have gone", () => {
  const type = emptyPrior();
  learnt(0.95, 120, type);
  const rng = Rng.fromSeed(2);
  const leaves = wholeRange();
  split(leaves, leaves[0] as (typeof leaves)[number], 0.5, 0.5);
  const positions = Array.from({ length: 20 }, () => draw(leaves, type, settings, rng));
  assert.ok(positions.every((position) => position >= 0.5));
});

test("halving passes the mean on, so that neither side starts with an advantage", () => {
  const leaves = wholeRange();
  for (const value of [0.2, 0.4]) record(leaves, 0.7, value, 1);
  split(leaves, leaves[0] as (typeof leaves)[number], 0.5, 0.5);
  const [left, right] = leaves;
  assert.deepEqual([left?.low, left?.high, right?.low, right?.high], [0, 0.5, 0.5, 1]);
  assert.deepEqual([left?.count, left?.sum], [right?.count, right?.sum]);
  assert.ok(Math.abs((left?.sum ?? 0) / (left?.count ?? 1) - 0.3) < 1e-12);
});

test("old rewards fade", () => {
  const leaves = wholeRange();
  record(leaves, 0.5, 1, 0.5);
  record(leaves, 0.5, 0, 0.5);
  assert.deepEqual([leaves[0]?.count, leaves[0]?.sum, leaves[0]?.draws], [1.5, 0.5, 2]);
});

function outcome(device: string, trainMs: number, lossLast: number, sparsity = 0.3): Outcome {
  const choice = { sparsity, rank: 8 };
  const cost = { gflopsPerStep: 1, bytesUp: 1, bytesDown: 1, memoryBytes: 1 };
  const result = {
    ...{ stepMs: trainMs / 20, trainMs, downloadMs: 500, uploadMs: 500, bytesUp: 1, bytesDown: 1 },
    ...{ steps: 20, completionMs: trainMs + 1000, lossFirst: 2, lossLast, heldOutLoss: null },
    ...{ sparsityBefore: 0.2, sparsity, importance: 1, numSamples: 1 },
  };
  return { device, choice, cost, result };
}

test("rewards compare with the round's median, and being early earns nothing", () => {
  const outcomes = [
    outcome("early", 1000, 1.8),
    outcome("middle", 9000, 1.6),
    outcome("late", 39_000, 1.2, 0.4),
    { ...outcome("gone", 0, 0), result: null },
  ];
  const parts = rewardParts(outcomes, (device) => ({
    loss: device === "late" ? 1.1 : null,
    maxSparsity: 0.4,
  }));
  const of = (device: string): RewardParts => {
    const found = parts.get(device);
    assert.ok(found !== undefined);
    return found;
  };
  assert.equal(of("early").compute, 1);
  assert.equal(of("middle").compute, 1);
  // 39 s against the median of 10 s, on the logarithmic scale that ends at 16 times the median.
  near(of("late").compute, 1 - Math.log(3.9) / Math.log(16));
  near(of("early").learning, 0.25);
  near(of("middle").learning, 0.5);
  near(of("late").learning, 1);
  near(of("late").improvement, 0);
  near(of("early").progress, 0.5);
  near(of("late").progress, 1);
  near(of("late").transfer, 0.9);
  assert.deepEqual(new Set(Object.values(of("gone"))), new Set([0]));
});

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
}

test("one choice is surely better only when the difference outgrows its error", () => {
  const [good, bad] = [noSamples(), noSamples()];
  addSample(good, 0.5);
  addSample(bad, 0.3);
  assert.ok(!surely(good, bad, 2));
  for (let i = 0; i < 20; i++) {
    addSample(good, 0.5);
    addSample(bad, 0.3);
  }
  assert.ok(surely(good, bad, 2));
  assert.ok(!surely(bad, good, 2));
  assert.ok(!surely(good, noSamples(), 2));
});
