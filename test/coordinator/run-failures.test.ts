/** Whole runs over the in-process broker in which devices, links, broker and coordinator fail and come back. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import type { AgentEvent } from "../../src/device/agent.ts";
import {
  count,
  expectClose,
  expectedAdapter,
  savedAdapter,
  seen,
} from "../support/fleet-checks.ts";
import { Fleet } from "../support/fleet.ts";

test("a straggler does not hold up a round beyond its deadline, and is told to stop", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 3, roundTimeoutMs: 5000 });
  for (const id of ["a", "b"]) fleet.device(id);
  const slow = fleet.device("slow", { stepMs: 4000 });
  const startMs = fleet.clock.nowMs();
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.ok(fleet.clock.nowMs() - startMs < 25_000);
  assert.ok(slow.events.some((event) => event.kind === "working" && event.phase === "idle"));
  assert.equal(summary.devices.find(({ id }) => id === "slow")?.rounds, 0);
  assert.equal(slow.trainer.begun, 2);
  assert.equal(slow.trainer.hasOverlapped, false, "new work waits until the aborted one has ended");
  expectClose(savedAdapter(fleet, 2), expectedAdapter({ a: 10, b: 10 }, 2));
});

test("work that goes on when its attempt is over is finished in the next one, not begun again", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1, quorum: 1, roundTimeoutMs: 5000 });
  fleet.device("a");
  const slow = fleet.device("slow", { stepMs: 1500 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.ok(seen(coordinator, "round-short", { attempt: 1, updates: 1, needed: 2 }));
  assert.equal(slow.trainer.begun, 1);
});

test("a device that dies without a word is given up when its lease is over, long before the deadline", async (t) => {
  const fleet = new Fleet(t);
  const settings = { minDevices: 3, roundTimeoutMs: 500_000, rounds: 1 };
  const coordinator = fleet.coordinator(settings);
  for (const id of ["a", "b"]) fleet.device(id, { stepMs: 500 });
  const dead = fleet.device("dead", { stepMs: 1000 });
  await fleet.until("the round starts", () => seen(coordinator, "round-started"));
  coordinator.stop();
  await fleet.end(coordinator);
  const resumed = fleet.coordinator(settings, { resume: true });
  await fleet.until("training", () => seen(resumed, "device-progress", { device: "dead" }));
  const deathMs = fleet.clock.nowMs();
  dead.kill({ isSilent: true });
  const summary = await fleet.end(resumed);
  assert.equal(summary.ok, true);
  assert.ok(seen(resumed, "device-left", { device: "dead", reason: "silent" }));
  assert.ok(fleet.clock.nowMs() - deathMs < 10_000);
});

test("when all devices die the run ends by itself and says why", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator();
  const devices = ["a", "b"].map((id) => fleet.device(id, { stepMs: 1000 }));
  await fleet.until("training", () => seen(coordinator, "device-progress"));
  for (const device of devices) device.kill();
  const summary = await fleet.end(coordinator, 100_000);
  assert.equal(summary.ok, false);
  assert.match(summary.reason, /round 1: 0 of 2 devices/);
  assert.equal(summary.rounds, 0);
});

test("too few devices at the start end the run after the time to join", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, joinTimeoutMs: 8000 });
  fleet.device("lonely");
  const summary = await fleet.end(coordinator, 20_000);
  assert.deepEqual([summary.ok, summary.reason], [false, "round 1: 1 of 2 devices after 8000 ms"]);
});

test("a device that is killed in mid-round and restarts takes part in the same round under its old name", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, rounds: 1, quorum: 1 });
  fleet.device("a", { stepMs: 3000 });
  const first = fleet.device("b", { stepMs: 300 });
  await fleet.until("b trains", () =>
    first.events.some((event) => event.kind === "working" && event.phase === "training"),
  );
  first.kill();
  await fleet.until("it is missed", () =>
    seen(coordinator, "device-left", { device: "b", reason: "cut-off" }),
  );
  const second = fleet.device("b", { stepMs: 300 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(summary.devices.length, 2);
  assert.equal(second.trainer.begun, 1);
  assert.equal(count(coordinator, "round-started"), 1, "one attempt was enough");
  expectClose(savedAdapter(fleet, 1), expectedAdapter({ a: 10, b: 10 }, 1));
});

test("a device that is killed after training offers its update again and does not train again", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, rounds: 1, quorum: 1 });
  fleet.device("a", { stepMs: 3000 });
  fleet.broker.faults = { ...fleet.broker.faults };
  const first = fleet.device("b");
  await fleet.until("b has trained", () =>
    first.events.some((event) => event.kind === "working" && event.phase === "uploading"),
  );
  first.kill();
  const second = fleet.device("b");
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(second.trainer.begun, 0);
  expectClose(savedAdapter(fleet, 1), expectedAdapter({ a: 10, b: 10 }, 1));
});

test("a device that has lost the update that it finished trains again", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, rounds: 1, quorum: 1 });
  fleet.device("a", { stepMs: 3000 });
  const first = fleet.device("b");
  await fleet.until("b has trained", () =>
    first.events.some((event) => event.kind === "working" && event.phase === "uploading"),
  );
  first.kill();
  for (const root of await fleet.blobsOf("b")) await fleet.storeOf("b").remove(root);
  const second = fleet.device("b");
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(second.trainer.begun, 1);
});

test("a command that gets lost is sent again when the device shows that it does not know", async (t) => {
  const fleet = new Fleet(t);
  const onEvent = ({ kind }: RunEvent): void => {
    if (kind === "round-started") fleet.loseThisMoment();
  };
  const coordinator = fleet.coordinator({ rounds: 1, quorum: 1 }, { onEvent });
  const devices = ["a", "b"].map((id) => fleet.device(id));
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(count(coordinator, "round-started"), 1, "one attempt was enough");
  for (const { trainer } of devices) assert.equal(trainer.begun, 1);
});

test("an offer that gets lost is made again, and so is one whose acceptance gets lost", async (t) => {
  const fleet = new Fleet(t);
  const loseAcceptance = (event: RunEvent): void => {
    if (event.kind === "update-received" && event.device === "a") fleet.loseThisMoment();
  };
  const coordinator = fleet.coordinator({ rounds: 1, quorum: 1 }, { onEvent: loseAcceptance });
  const loseOffer = (event: AgentEvent): void => {
    if (event.kind === "working" && event.phase === "uploading") fleet.loseThisMoment();
  };
  const a = fleet.device("a", {}, {}, loseOffer);
  fleet.device("b", { stepMs: 2000 });
  await fleet.until("a is answered", () => a.events.some(({ kind }) => kind === "answered"));
  assert.equal(seen(coordinator, "aggregated"), false, "the round still waits for b");
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(count(coordinator, "update-received", { device: "a" }), 1);
  assert.equal(count(coordinator, "round-started"), 1);
});

test("losing, doubling, delaying and garbling messages slows a run down and changes nothing else", async (t) => {
  for (const seed of ["x", "y", "z"]) {
    const faults = {
      lossRate: 0.08,
      duplicateRate: 0.1,
      reorderRate: 0.1,
      reorderMs: 150,
      corruptRate: 0.02,
    };
    const fleet = new Fleet(t, faults, seed);
    const coordinator = fleet.coordinator({
      minDevices: 3,
      quorum: 1,
      runFolder: join(fleet.folder, "run"),
    });
    const samples = { a: 10, b: 20, c: 30 };
    for (const [id, numSamples] of Object.entries(samples)) fleet.device(id, { numSamples });
    const summary = await fleet.end(coordinator);
    assert.equal(summary.ok, true, summary.reason);
    for (const { rounds } of summary.devices) assert.equal(rounds, 2);
    expectClose(savedAdapter(fleet, 2), expectedAdapter(samples, 2));
  }
});

test("a broker that restarts in mid-round loses nothing that counts", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ quorum: 1 });
  const devices = ["a", "b"].map((id) => fleet.device(id, { stepMs: 1000 }));
  await fleet.until("training", () => seen(coordinator, "device-progress", { phase: "training" }));
  fleet.broker.stop();
  const stoppedMs = fleet.clock.nowMs();
  await fleet.until("a while", () => fleet.clock.nowMs() > stoppedMs + 8000);
  fleet.broker.start();
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(count(coordinator, "device-left"), 2, "only when they say bye at the end");
  for (const { trainer } of devices) assert.equal(trainer.begun, 2);
});

test("an interrupted run goes on with the round after its checkpoint and ends where an undisturbed one does", async (t) => {
  const fleet = new Fleet(t);
  const first = fleet.coordinator();
  const samples = { a: 10, b: 20 };
  for (const [id, numSamples] of Object.entries(samples)) fleet.device(id, { numSamples });
  await fleet.until("round 1 is saved", () => seen(first, "checkpoint", { round: 1 }));
  first.stop();
  assert.deepEqual((await fleet.end(first)).rounds, 1);
  const second = fleet.coordinator({}, { resume: true });
  const summary = await fleet.end(second);
  assert.equal(summary.ok, true);
  assert.equal(summary.rounds, 2);
  assert.ok(seen(second, "run-started", { resumedRound: 1 }));
  assert.equal(seen(second, "round-started", { round: 1 }), false);
  assert.deepEqual(summary.before, { accuracy: 0.5, loss: 1, macroF1: 0.4 });
  expectClose(savedAdapter(fleet, 2), expectedAdapter(samples, 2));
});

test("after a crash of the coordinator the finished work of its devices is used, not done again", async (t) => {
  const fleet = new Fleet(t);
  const first = fleet.coordinator({ rounds: 1, quorum: 1 });
  const quick = fleet.device("quick");
  const slow = fleet.device("slow", { stepMs: 2000 });
  await fleet.until("one update is in", () => seen(first, "update-received", { device: "quick" }));
  first.kill();
  const second = fleet.coordinator({ rounds: 1, quorum: 1 }, { resume: true });
  const summary = await fleet.end(second);
  assert.equal(summary.ok, true);
  assert.deepEqual([quick.trainer.begun, slow.trainer.begun], [1, 1]);
});

test("of two coordinators of one fleet the older one stops", async (t) => {
  const fleet = new Fleet(t);
  const older = fleet.coordinator({ rounds: 1 });
  await fleet.until("it is there", () => seen(older, "run-started"));
  const startMs = fleet.clock.nowMs();
  await fleet.until("a second passes", () => fleet.clock.nowMs() > startMs + 2000);
  const newer = fleet.coordinator({ rounds: 1 }, { runFolder: join(fleet.folder, "other") });
  const summary = await fleet.end(older);
  assert.deepEqual(
    [summary.ok, summary.reason],
    [false, "another coordinator of this fleet has taken over"],
  );
  for (const id of ["a", "b"]) fleet.device(id);
  assert.equal((await fleet.end(newer)).ok, true);
});

test("of two devices with one id neither takes part, and both are counted", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1 });
  fleet.device("twin", { stepMs: 4000 });
  const other = { stateFolder: join(fleet.folder, "elsewhere") };
  fleet.device("twin", { stepMs: 4000, numSamples: 77 }, other);
  for (const id of ["a", "b"]) fleet.device(id, { stepMs: 4000 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(count(coordinator, "device-quarantined", { device: "twin" }), 1);
  assert.equal(count(coordinator, "update-received", { device: "twin" }), 0);
  assert.ok((summary.dropped["quarantined"] ?? 0) > 0);
});
