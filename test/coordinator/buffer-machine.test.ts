/** The buffer machine: who is asked when, what fills the buffer, how old an update may be, and that nothing can hang it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { taskRound, wantedKind } from "../../src/coordinator/round-machine.ts";
import type { RoundInput } from "../../src/coordinator/round-state.ts";
import {
  buffering,
  deadline,
  left,
  offered,
  present,
  received,
  type Run,
} from "../support/round-run.ts";

const deliver = (device: string, round: number): RoundInput[] => {
  const name = `${device}-${round}`;
  return [offered(device, round, name), received(device, name)];
};
const finishVersion = (round: number): RoundInput[] => [
  { kind: "aggregated", round },
  { kind: "evaluated", round },
  { kind: "saved", round },
];

test("whoever is here is asked at once, and `size` updates make a version while the others work on", () => {
  const run = buffering(["a", "b", "c"]);
  assert.ok(run.has("begin", { round: 1, devices: ["a", "b", "c"] }));
  run.feed(...deliver("a", 1));
  assert.deepEqual([run.state.phase, wantedKind(run.state, "a")], ["training", "idle"]);
  run.feed(...deliver("b", 1));
  assert.ok(run.has("aggregate", { round: 1, devices: ["a", "b"] }));
  run.feed(...finishVersion(1));
  assert.ok(run.has("begin", { round: 2, devices: ["a", "b"] }));
  assert.deepEqual([taskRound(run.state, "a"), taskRound(run.state, "c")], [2, 1]);
  assert.equal(wantedKind(run.state, "c"), "train");
  run.feed(...deliver("c", 1));
  assert.ok(run.has("accept", { device: "c" }), "an update of the version before counts");
});

test("an update that arrives while a version is merged is in the next one", () => {
  const run = buffering(["a", "b", "c", "d"]).feed(...deliver("a", 1), ...deliver("b", 1));
  assert.equal(run.state.phase, "aggregating");
  run.feed(...deliver("c", 1));
  assert.ok(run.has("accept", { device: "c" }));
  run.feed(...finishVersion(1), ...deliver("d", 1));
  assert.ok(run.has("aggregate", { round: 2, devices: ["c", "d"] }));
});

test("a device that becomes free or comes late is asked for the newest version", () => {
  const run = buffering(["a", "b"]).feed(present("late"));
  assert.ok(
    run.has("ask", { round: 1, devices: ["late"] }) && run.has("command", { device: "late" }),
  );
  run.feed(...deliver("a", 1), present("a"));
  assert.equal(run.has("ask"), false, "one update of a device in a version is enough");
  assert.ok(run.has("command", { device: "a" }), "but it is told to wait");
});

test("a device that sleeps finds its task again, and one that slept too long gets a new one", () => {
  const run = buffering(["a", "b", "c"], { rounds: 9 }).feed(left("c"));
  run.feed(...deliver("a", 1), ...deliver("b", 1), ...finishVersion(1), present("c"));
  assert.deepEqual([wantedKind(run.state, "c"), taskRound(run.state, "c")], ["train", 1]);
  run.feed(left("c"), ...deliver("a", 2), ...deliver("b", 2), ...finishVersion(2));
  assert.equal(run.state.tasks.has("c"), false);
  run.feed(...deliver("c", 1));
  assert.ok(!run.has("accept"));
  run.feed(offered("c", 1, "c-1"));
  assert.ok(run.has("reject", { device: "c", reason: "late" }));
  run.feed(present("c"));
  assert.deepEqual([wantedKind(run.state, "c"), taskRound(run.state, "c")], ["train", 3]);
});

test("a device that is here and too far behind is told to begin anew", () => {
  const run = buffering(["a", "b", "c"], { rounds: 9 });
  for (const round of [1, 2])
    run.feed(...deliver("a", round), ...deliver("b", round), ...finishVersion(round));
  assert.ok(run.has("command", { device: "c" }));
  assert.equal(taskRound(run.state, "c"), 3);
});

test("offers of another version than the device was asked for, of strangers and of repeats are refused", () => {
  const run = buffering(["a", "b", "c"], { rounds: 9 });
  run.feed(...deliver("a", 1), ...deliver("b", 1), ...finishVersion(1));
  assert.ok(run.feed(offered("c", 2)).has("reject", { reason: "wrong-round" }));
  assert.ok(run.feed(offered("a", 1, "other")).has("reject", { reason: "late" }));
  assert.ok(run.feed(offered("a", 1, "a-1")).has("accept"), "the same again gets the same answer");
  assert.ok(run.feed(offered("x", 2)).has("reject", { reason: "not-asked" }));
  assert.ok(
    run.feed(...deliver("a", 2), offered("a", 2, "more")).has("reject", { reason: "duplicate" }),
  );
});

test("when nobody is left who could fill the buffer, what is there is merged", () => {
  const run = buffering(["a", "b"], { size: 5 }).feed(...deliver("a", 1));
  assert.equal(run.state.phase, "training");
  run.feed({ kind: "failed", device: "b", round: 1, attempt: 1, reason: "out of memory" });
  assert.ok(run.has("aggregate", { devices: ["a"] }));
  run.feed(...finishVersion(1));
  assert.ok(run.has("begin", { round: 2, devices: ["a", "b"] }), "who failed may try again");
});

test("the deadline merges what is there, and without any update the attempts run out", () => {
  const sleeping = buffering(["a", "b", "c"]).feed(...deliver("a", 1), left("b"), left("c"));
  assert.ok(sleeping.feed(deadline(1, 1)).has("aggregate", { devices: ["a"] }));
  const dead = buffering(["a"]).feed(left("a"), deadline(1, 1));
  assert.equal(dead.state.attempt, 2);
  dead.feed(deadline(1, 2));
  assert.deepEqual([dead.state.phase, dead.has("finish", { ok: false })], ["finished", true]);
});

test("too few devices at the start are waited for, and not for ever", () => {
  const run = buffering(["a", "b"], { minDevices: 3 });
  assert.equal(run.state.phase, "waiting");
  assert.ok(
    buffering(["a"], { minDevices: 2 })
      .feed(present("b"))
      .has("begin", { devices: ["a", "b"] }),
  );
  run.feed({ kind: "timeout", timer: "join", round: 1, attempt: 1 });
  assert.match(run.state.reason, /2 of 3 devices/);
});

test("whatever happens, no device delivers twice for one version and no update is older than allowed", () => {
  const devices = ["a", "b", "c", "d"];
  const device = fc.constantFrom(...devices);
  const move = fc.oneof(
    { weight: 3, arbitrary: device.map((id) => (): RoundInput[] => [present(id)]) },
    { weight: 1, arbitrary: device.map((id) => (): RoundInput[] => [left(id)]) },
    {
      weight: 6,
      arbitrary: device.map((id) => (run: Run) => deliver(id, taskRound(run.state, id))),
    },
    {
      weight: 3,
      arbitrary: fc.constant((run: Run) => finishVersion(run.state.round)),
    },
    {
      weight: 1,
      arbitrary: fc.constant((run: Run) => [deadline(run.state.round, run.state.attempt)]),
    },
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 80 }), (moves) => {
      const run = buffering(devices, { rounds: 6, maxStaleness: 2, maxAttempts: 99 });
      const counted = new Map<string, number>();
      for (const next of moves) {
        for (const input of next(run)) {
          const rounds = new Map(devices.map((id) => [id, taskRound(run.state, id)]));
          run.feed(input);
          for (const effect of run.effects) {
            if (effect.kind !== "aggregate") continue;
            for (const id of effect.devices) {
              const from = rounds.get(id) ?? 0;
              assert.ok(from > (counted.get(id) ?? 0), `${id} counts twice for version ${from}`);
              assert.ok(effect.round - from <= 3, "2, and 1 for the version that was being merged");
              counted.set(id, from);
            }
          }
        }
      }
      assert.ok(run.state.phase !== "waiting");
    }),
  );
});
