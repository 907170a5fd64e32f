/** Slots: never more at once than allowed, first come first served, closing ends the waiting. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { TransportError } from "../../src/base/errors.ts";
import { PullSlots } from "../../src/transfer/pull-slots.ts";

test("work runs in order of arrival, at most so many at once, also after a failure", async () => {
  const slots = new PullSlots(2);
  const started: number[] = [];
  const gates: ((fails: boolean) => void)[] = [];
  const runs = [0, 1, 2, 3].map((i) =>
    slots.run(() => {
      started.push(i);
      return new Promise<number>((resolve, reject) => {
        gates[i] = (fails) => (fails ? reject(new RangeError("no")) : resolve(i));
      });
    }),
  );
  const outcomes = Promise.allSettled(runs);
  await turn();
  assert.deepEqual(started, [0, 1]);
  gates[1]?.(true);
  await turn();
  assert.deepEqual(started, [0, 1, 2]);
  gates[0]?.(false);
  gates[2]?.(false);
  await turn();
  gates[3]?.(false);
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled", "fulfilled"],
  );
});

test("closing rejects those that wait and those that come later, not those that run", async () => {
  const slots = new PullSlots(1);
  let finish = (): void => {};
  const running = slots.run(() => new Promise<void>((resolve) => (finish = resolve)));
  const waiting = slots.run(async () => assert.fail("must not start"));
  slots.close();
  await assert.rejects(waiting, TransportError);
  await assert.rejects(
    slots.run(async () => {}),
    TransportError,
  );
  finish();
  await running;
});
