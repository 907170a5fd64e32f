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
  timer.stepDone();
  assert.equal(timer.meanMs, 500);
  for (const stepMs of [10, 30]) {
    clock.advance(stepMs);
    timer.stepDone();
  }
  assert.equal(timer.meanMs, 20);
});
