/** The step timer: what counts as the duration of a step. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { StepTimer } from "../../src/device/step-timer.ts";

test("the mean leaves out the first step unless it is the only one", () => {
  const clock = new ManualClock();
  const timer = new StepTimer(clock);
  assert.equal(timer.meanMs, 0);
  clock.advance(500);
  timer.stepDone(1);
  assert.equal(timer.meanMs, 500);
  for (const step of [2, 3]) {
    clock.advance(10 * step - 10);
    timer.stepDone(step);
  }
  assert.equal(timer.meanMs, 15);
});

test("steps that nobody reported count with the next one", () => {
  const clock = new ManualClock();
  const timer = new StepTimer(clock);
  clock.advance(600);
  timer.stepDone(3);
  assert.equal(timer.meanMs, 200);
  clock.advance(800);
  timer.stepDone(7);
  assert.equal(timer.meanMs, 200);
});
