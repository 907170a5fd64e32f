/** Smoothing, targets and costs on curves whose answers are known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  costTo,
  rowMetrics,
  smoothed,
  summaryOf,
  targetOf,
} from "../../../bench/reproduce/metrics.ts";
import type { Trace } from "../../../bench/reproduce/trace.ts";

/** A round takes `roundMs` and 10 bytes; accuracies are those of rounds 0, 1, 2, … */
function trace(accuracies: readonly number[], roundMs = 100): Trace {
  const points = accuracies.map((accuracy, round) => ({
    ...{ round, timeMs: roundMs * round, bytes: 10 * round, gflop: round },
    ...{ accuracy, worst: accuracy / 2 },
  }));
  const rounds = accuracies.length - 1;
  return { points, waitingMs: 5, roundMs, sparsity: 0.5, rounds, ok: true, reason: "" };
}

test("a summary has the sample's standard deviation, and none for one value", () => {
  assert.deepEqual(summaryOf([1, 2, 3]), { mean: 2, sd: 1, n: 3 });
  assert.deepEqual(summaryOf([4]), { mean: 4, sd: 0, n: 1 });
  assert.equal(summaryOf([]), null);
});

test("smoothing looks back over three scores and never at the untrained model", () => {
  const values = smoothed(trace([0.9, 0.1, 0.2, 0.3, 0.7]).points).map(({ accuracy }) => accuracy);
  const wanted = [0.9, 0.1, 0.15, 0.2, 0.4];
  wanted.forEach((value, i) => assert.ok(Math.abs(value - (values[i] ?? 0)) < 1e-12));
});

test("the target is what the weakest row reaches at its end, in the mean over seeds", () => {
  const strong = [trace([0, 0.9, 0.9, 0.9])];
  const weak = [trace([0, 0.4, 0.4, 0.4]), trace([0, 0.6, 0.6, 0.6])];
  assert.equal(targetOf([strong, weak]), 0.5);
  assert.equal(targetOf([strong, []]), 0.9);
  assert.equal(targetOf([[], []]), null);
});

test("the cost of a target lies on the line between the scores around it", () => {
  const line = trace([0, 0.5, 0.5, 0.5, 0.8]);
  assert.equal(costTo(line, 0.25, "timeMs"), 50);
  assert.equal(costTo(line, 0.5, "bytes"), 10);
  // The smoothed last score is 0.6.
  assert.ok(Math.abs((costTo(line, 0.55, "gflop") ?? 0) - 3.5) < 1e-9);
  assert.equal(costTo(line, 0.61, "timeMs"), null);
  assert.equal(costTo(line, 0, "timeMs"), 0);
});

test("a target that is lost again is not reached before it is kept", () => {
  // Smoothed: 0, 0.6, 0.35, 0.4, 0.5.
  const jumpy = trace([0, 0.6, 0.1, 0.5, 0.9]);
  assert.ok(Math.abs((costTo(jumpy, 0.45, "timeMs") ?? 0) - 350) < 1e-9);
});

test("a row counts the seeds that reached the target and averages those alone", () => {
  const metrics = rowMetrics([trace([0, 0.6, 0.6]), trace([0, 0.2, 0.2])], 0.3);
  assert.deepEqual([metrics.numReached, metrics.numSeeds], [1, 2]);
  assert.equal(metrics.toTarget.timeMs?.mean, 50);
  assert.equal(metrics.accuracy?.mean, 0.4);
  assert.equal(metrics.worst?.mean, 0.2);
  assert.equal(rowMetrics([], 0.3).accuracy, null);
});
