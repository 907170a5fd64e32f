/** The deadline of a round and what each device gives up for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Choice, DeviceView } from "../../../src/strategies/controllers/controller.ts";
import {
  frontier,
  hurried,
  leastSacrifice,
  shortestRound,
  type Timed,
} from "../../../src/strategies/controllers/deadline.ts";
import { roundTime } from "../../../src/strategies/controllers/time-model.ts";

const about = { round: 10, rounds: 100, steps: 20, referenceSparsity: 0.3, finalSparsity: 0.5 };
const settings = { rankWeight: 0.25, caution: 0 };

/** 100 GFLOP per unpruned step and 1 Mb per unit of rank and way. */
const cost = ({ sparsity, rank }: Choice) => ({
  ...{ gflopsPerStep: 100 * (1 - sparsity), memoryBytes: 1e8 },
  ...{ bytesUp: 125_000 * rank, bytesDown: 125_000 * rank },
});

function device(
  secondsPerGflop: number,
  secondsPerMb: number,
  view: Partial<DeviceView> = {},
): Timed {
  const link = { mean: Math.log(secondsPerMb), spread: 0 };
  return {
    law: {
      ...{ secondsPerGflop, computeSpread: 0.05, up: link, down: link },
      ...{ overheadSeconds: 0, misses: 0, source: "device" },
    },
    view: {
      ...{ id: "a", type: "nx", cores: 4, sparsity: 0, minSparsity: 0.1, maxSparsity: 0.5 },
      ...{ ranks: [2, 4, 8, 16, 32], cost, ...view },
    },
  };
}

function seconds({ law, view }: Timed, choice: Choice): number {
  return roundTime(law, view, choice, about.steps).total;
}

const fast = device(0.001, 0.1);
const slow = device(0.02, 0.1);

test("the round is as short as the slowest device allows at its sparsest", () => {
  const expected = 20 * 100 * 0.5 * 0.02 + 2 * 8 * 0.1;
  assert.ok(Math.abs(shortestRound([fast, slow], about, 8) - expected) < 1e-9);
});

test("a fast device gives up nothing and the slowest one what it can", () => {
  const deadline = shortestRound([fast, slow], about, 8);
  assert.deepEqual(leastSacrifice(fast, deadline, about, settings), { sparsity: 0.1, rank: 32 });
  const last = leastSacrifice(slow, deadline, about, settings);
  assert.equal(last?.sparsity, 0.5);
  assert.equal(leastSacrifice(slow, 0.9 * deadline, about, settings), null);
});

test("rank is taken before pruning when it is the link that costs time", () => {
  const linkBound = device(0.001, 1);
  assert.deepEqual(leastSacrifice(linkBound, 20, about, settings), { sparsity: 0.1, rank: 8 });
});

test("nobody gives up more rank than the device that all others wait for", () => {
  const justSlow = device(0.0198, 0.1);
  const deadline = shortestRound([justSlow, slow], about, 8);
  const cautious = { rankWeight: 0.25, caution: 0.5 };
  assert.ok((leastSacrifice(justSlow, deadline, about, cautious)?.rank ?? 8) < 8);
  assert.equal(leastSacrifice(justSlow, deadline, about, cautious, 8), null);
});

test("who all others wait for gets a low rank only where that saves time", () => {
  assert.equal(hurried(slow, about, 8).rank, 8);
  assert.equal(hurried(device(0.001, 1), about, 8).rank, 2);
});

test("every choice of the frontier is feasible, in time, and prunes no more than it must", () => {
  const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });
  fc.assert(
    fc.property(number(1e-4, 0.1), number(0, 1), number(1, 100), (speed, link, deadline) => {
      const timed = device(speed, link);
      for (const choice of frontier(timed, deadline, about, 0)) {
        assert.ok(seconds(timed, choice) <= deadline);
        assert.ok(choice.sparsity >= 0.1 && choice.sparsity <= 0.5);
        const less = { ...choice, sparsity: choice.sparsity - 0.001 };
        if (less.sparsity > 0.1) assert.ok(seconds(timed, less) > deadline);
      }
    }),
  );
});
