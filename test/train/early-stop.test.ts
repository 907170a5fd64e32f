/** Early stopping. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EarlyStop } from "../../src/train/early-stop.ts";

test("a run ends after as many evaluations in a row without a better loss as it has patience", () => {
  const stop = new EarlyStop(2);
  const report = (loss: number): [isBest: boolean, isOver: boolean] => [
    stop.report(loss),
    stop.isOver,
  ];
  assert.deepEqual(report(3), [true, false]);
  assert.deepEqual(report(3), [false, false]);
  assert.deepEqual(report(2), [true, false]);
  assert.deepEqual(report(2.5), [false, false]);
  assert.deepEqual(report(2.1), [false, true]);
});

test("a loss that is no number is no improvement, and endless patience never ends", () => {
  const stop = new EarlyStop(1);
  assert.equal(stop.report(NaN), false);
  assert.equal(stop.isOver, true);
  const patient = new EarlyStop(Infinity);
  for (let i = 0; i < 1000; i++) patient.report(i);
  assert.equal(patient.isOver, false);
});
