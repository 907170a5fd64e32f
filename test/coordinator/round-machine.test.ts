/** The round machine: the plain course, and each way in which a round can go wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newRun, wantedKind } from "../../src/coordinator/round-machine.ts";
import type { RoundInput } from "../../src/coordinator/round-state.ts";
import {
  Run,
  deadline,
  deliver,
  left,
  offered,
  present,
  received,
  root,
  training,
} from "../support/round-run.ts";

test("a run measures the start, waits for devices, and goes through its rounds", () => {
  const run = new Run();
  run.feed({ kind: "start" });
  assert.ok(run.has("evaluate", { round: 0 }));
  run.feed(present("a"), { kind: "evaluated", round: 0 });
  assert.equal(run.state.phase, "waiting");
  assert.ok(run.has("arm", { timer: "join" }));
  run.feed(present("b"));
  assert.ok(run.has("command", { device: "a" }) && run.has("command", { device: "b" }));
  assert.equal(wantedKind(run.state, "a"), "train");
  run.feed(...deliver("a"));
  assert.ok(run.has("accept", { device: "a" }));
  assert.equal(wantedKind(run.state, "a"), "idle");
  run.feed(...deliver("b"));
  assert.ok(run.has("aggregate", { round: 1, devices: ["a", "b"] }));
  run.feed({ kind: "aggregated", round: 1 });
  assert.ok(run.has("evaluate", { round: 1 }));
  run.feed({ kind: "evaluated", round: 1 });
  assert.ok(run.has("save", { round: 1 }));
  run.feed({ kind: "saved", round: 1 });
  assert.equal(run.state.round, 2);
  run.feed(offered("a", 2), received("a"), offered("b", 2), received("b"));
  run.feed(
    { kind: "aggregated", round: 2 },
    { kind: "evaluated", round: 2 },
    { kind: "saved", round: 2 },
  );
  assert.ok(run.has("finish", { ok: true }));
  assert.equal(wantedKind(run.state, "a"), "finished");
});

test("a resumed run goes on with the round after its checkpoint, or ends when that was the last", () => {
  assert.equal(new Run({}, { ...newRun, round: 1 }).feed({ kind: "start" }).state.round, 2);
  assert.ok(
    new Run({}, { ...newRun, round: 2 }).feed({ kind: "start" }).has("finish", { ok: true }),
  );
});

test("the deadline closes a round with a quorum, and the straggler is told to stop", () => {
  const run = training(["a", "b", "c"]).feed(
    ...deliver("a"),
    ...deliver("b"),
    offered("c"),
    deadline(),
  );
  assert.ok(run.has("aggregate", { devices: ["a", "b"] }));
  assert.ok(run.has("abandon", { device: "c" }) && run.has("command", { device: "c" }));
  assert.equal(wantedKind(run.state, "c"), "idle");
});

test("a round does not wait for a device that has left once the others are done", () => {
  const run = training(["a", "b", "c"]).feed(...deliver("a"), ...deliver("b"));
  assert.equal(run.state.phase, "training");
  assert.ok(run.feed(left("c")).has("aggregate", { devices: ["a", "b"] }));
});

test("a device that left and came back is asked again for the same round", () => {
  const run = training(["a", "b", "c"]).feed(left("c"), ...deliver("a"), present("c"));
  assert.ok(run.has("command", { device: "c" }));
  assert.equal(wantedKind(run.state, "c"), "train");
  assert.ok(
    run.feed(...deliver("b"), ...deliver("c")).has("aggregate", { devices: ["a", "b", "c"] }),
  );
});

test("too few updates lead to another attempt that keeps those at hand, and then to the end of the run", () => {
  const run = training(["a", "b", "c"], { quorum: 1 }).feed(...deliver("a"), deadline());
  assert.equal(run.state.attempt, 2);
  assert.equal(wantedKind(run.state, "a"), "idle");
  assert.equal(wantedKind(run.state, "b"), "train");
  run.feed(...deliver("b"), deadline(1, 2));
  assert.ok(run.has("finish", { ok: false }));
  assert.match(run.state.reason, /round 1: 2 of 3 needed updates after 2 attempts/);
});

test("the next attempt needs only those who are here when it starts", () => {
  const run = training(["a", "b", "c"], { quorum: 1, minDevices: 1 });
  run.feed(...deliver("a"), ...deliver("b"), left("c"));
  assert.ok(
    run.has("tell", {
      event: { kind: "round-short", round: 1, attempt: 1, updates: 2, needed: 3 },
    }),
  );
  assert.ok(run.has("aggregate", { devices: ["a", "b"] }));
});

test("a run without enough devices ends when the time to join is over", () => {
  const run = new Run().feed({ kind: "start" }, { kind: "evaluated", round: 0 }, present("a"));
  run.feed({ kind: "timeout", timer: "join", round: 1, attempt: 1 });
  assert.ok(run.has("finish", { ok: false }));
  assert.match(run.state.reason, /1 of 2 devices after 500 ms/);
});

test("a repeated offer is answered again, another update of the same device is refused, and neither counts twice", () => {
  const run = training(["a", "b"]).feed(...deliver("a"), offered("a"));
  assert.ok(run.has("accept", { device: "a" }) && !run.has("fetch"));
  run.feed(offered("a", 1, "other"));
  assert.ok(run.has("reject", { reason: "duplicate", root: "other" }));
  assert.ok(run.feed(...deliver("b")).has("aggregate", { devices: ["a", "b"] }));
  assert.ok(
    run.feed(offered("a")).has("accept", { device: "a" }),
    "also while the round is merged",
  );
  run.feed({ kind: "aggregated", round: 1 }, { kind: "evaluated", round: 1 });
  run.feed({ kind: "saved", round: 1 }, offered("a"));
  assert.ok(run.has("accept", { device: "a" }), "also in the next round");
  run.feed({ kind: "stop", reason: "enough" }, offered("a"));
  assert.ok(run.has("accept", { device: "a" }), "also after the end");
});

test("an offer repeated while its blob is fetched starts no second transfer, a newer one replaces it", () => {
  const run = training(["a", "b"]).feed(offered("a"), offered("a"));
  assert.deepEqual(run.effects, []);
  run.feed(offered("a", 1, "newer"));
  assert.ok(run.has("abandon") && run.has("fetch", { blob: { root: "newer", sizeBytes: 10 } }));
  run.feed(received("a"));
  assert.deepEqual(run.effects, [], "the replaced blob no longer counts");
  assert.ok(run.feed(received("a", "newer")).has("accept", { root: "newer" }));
});

test("late, unasked and wrong-round offers are refused with their reason", () => {
  const run = training(["a", "b"], {
    select: (ids) => ids.filter((id) => id !== "c"),
    minDevices: 2,
  });
  run.feed(present("c"), offered("c"));
  assert.ok(run.has("reject", { device: "c", reason: "not-asked" }));
  assert.ok(run.feed(offered("a", 2)).has("reject", { reason: "wrong-round" }));
  run.feed(...deliver("a"), ...deliver("b"), offered("b", 1, "other"));
  assert.ok(run.has("reject", { reason: "late" }));
});

test("a refused update leaves its device out of this attempt", () => {
  const run = training(["a", "b"], { quorum: 0.5 }).feed(offered("a"));
  run.feed({ kind: "refused", device: "a", root: root("a"), reason: "not-finite", detail: "NaN" });
  assert.ok(run.has("reject", { reason: "not-finite" }));
  assert.ok(run.feed(...deliver("b")).has("aggregate", { devices: ["b"] }));
});

test("a device that reports failure is asked again in the next attempt only", () => {
  const fail: RoundInput = {
    kind: "failed",
    device: "a",
    round: 1,
    attempt: 1,
    reason: "out of memory",
  };
  const run = training(["a", "b"], { quorum: 1 }).feed(fail, ...deliver("b"));
  assert.equal(run.state.attempt, 2);
  assert.equal(run.state.phase, "training");
  run.feed(fail);
  assert.equal(run.state.phase, "training", "the failure of the first attempt is old news");
  assert.ok(run.feed(...deliver("a")).has("aggregate", { devices: ["a", "b"] }));
});

test("a broken transfer waits for the next offer", () => {
  const run = training(["a", "b"]).feed(offered("a"), {
    kind: "fetch-broken",
    device: "a",
    root: root("a"),
  });
  assert.equal(run.state.phase, "training");
  assert.ok(run.feed(offered("a")).has("fetch"));
});
