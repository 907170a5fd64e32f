/** The virtual clock: time passes when nothing else can happen, and only then. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { setImmediate as turn } from "node:timers/promises";
import { VirtualClock } from "../../src/simulation/virtual-clock.ts";

test("a day passes without waiting, in the order of due times", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.after(3_600_000, () => seen.push("hour"));
  clock.after(0, () => seen.push("now"));
  clock.after(3_600_000, () => seen.push("hour, set later"));
  await clock.run(clock.sleep(86_400_000));
  assert.deepEqual(seen, ["now", "hour", "hour, set later"]);
  assert.equal(clock.nowMs(), 86_400_000);
});

test("a cancelled timer does not fire, also among many and after it was taken", async () => {
  const clock = new VirtualClock();
  let fired = 0;
  const timers = Array.from({ length: 5000 }, (_, i) => clock.after(5000 - i, () => (fired += 1)));
  timers.forEach((timer, i) => {
    if (i % 4 !== 0) timer.cancel();
  });
  await clock.run(clock.sleep(6000));
  for (const timer of timers) timer.cancel();
  await clock.run(clock.sleep(1));
  assert.equal(fired, 1250);
});

test("time waits for chains of turns and for file access", async () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  const work = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await turn();
    times.push(clock.nowMs());
    await readFile(fileURLToPath(import.meta.url));
    times.push(clock.nowMs());
  };
  void work();
  await clock.run(clock.sleep(10));
  assert.deepEqual(times, [0, 0]);
});

test("held results arrive in the order of the calls, and time stands still for them", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const real = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  void clock.hold(real(30)).then(() => seen.push(`slow at ${clock.nowMs()}`));
  void clock.hold(real(1)).then(() => seen.push(`quick at ${clock.nowMs()}`));
  await assert.rejects(clock.run(clock.hold(Promise.reject(new RangeError("broken")))), RangeError);
  assert.deepEqual(seen, ["slow at 0", "quick at 0"]);
});

test("a world in which nothing can happen is an error, not a hang", async () => {
  const clock = new VirtualClock();
  await assert.rejects(clock.run(new Promise(() => undefined)), /stands still/);
});

test("an abort ends the run at once, also during a hold", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  setTimeout(() => stop.abort(new RangeError("enough")), 5);
  await assert.rejects(clock.run(clock.hold(new Promise(() => undefined)), stop.signal), /enough/);
});
