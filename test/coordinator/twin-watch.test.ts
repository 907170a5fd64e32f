/** Twins: two machines with one id take turns, a machine that restarts again and again does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { QUARANTINE_MS, TwinWatch } from "../../src/coordinator/twin-watch.ts";

function setUp(): { clock: ManualClock; hellos: (boots: string, gapMs?: number) => boolean[] } & {
  watch: TwinWatch;
} {
  const clock = new ManualClock();
  const watch = new TwinWatch(clock);
  const hellos = (boots: string, gapMs = 1000): boolean[] =>
    boots.split(" ").map((boot) => {
      clock.advance(gapMs);
      return watch.hello("a", boot);
    });
  return { clock, watch, hellos };
}

test("a machine that restarts or repeats its hello is no twin, nor is one message that comes late", () => {
  const { watch, hellos } = setUp();
  assert.ok(hellos("x x y y z z w w v v u u t t").every((begins) => !begins));
  assert.ok(
    hellos("s t").every((begins) => !begins),
    "t is late once",
  );
  assert.equal(watch.isQuarantined("a"), false);
});

test("two that take turns are quarantined until only one has spoken for a minute", () => {
  const { clock, watch, hellos } = setUp();
  assert.deepEqual(hellos("x y x y"), [false, false, false, true]);
  assert.equal(watch.isQuarantined("a"), true);
  assert.equal(watch.isQuarantined("b"), false);
  assert.deepEqual(hellos("x y x y"), [false, false, false, false], "it begins once");
  clock.advance(QUARANTINE_MS - 1);
  assert.equal(watch.isQuarantined("a"), true);
  clock.advance(1);
  assert.equal(watch.isQuarantined("a"), false);
  assert.deepEqual(hellos("y y y"), [false, false, false]);
  assert.equal(watch.isQuarantined("a"), false);
});

test("turns that lie far apart are no twins", () => {
  const { watch, hellos } = setUp();
  hellos("x y x y x y", QUARANTINE_MS);
  assert.equal(watch.isQuarantined("a"), false);
});
