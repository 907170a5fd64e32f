/** Whole runs over the in-process broker in which devices do not wait for each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import { count, seen } from "../support/fleet-checks.ts";
import { Fleet, type RunningCoordinator } from "../support/fleet.ts";
import { must } from "../support/must.ts";

const MODE = { kind: "buffered", size: 2, maxStaleness: 3 } as const;

function merges({ events }: RunningCoordinator): Extract<RunEvent, { kind: "aggregated" }>[] {
  return events.filter((event) => event.kind === "aggregated");
}

test("quick devices go on while a slow one is at work, and its update counts with its age", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 6, minDevices: 3, mode: MODE });
  const quick = ["a", "b"].map((id) => fleet.device(id));
  const slow = fleet.device("slow", { stepMs: 500 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  const merged = merges(coordinator);
  assert.equal(merged.length, 6);
  const late = must(merged.find(({ devices }) => devices.includes("slow")));
  assert.ok(late.maxStaleness >= 1 && late.maxStaleness <= 4, `${late.maxStaleness}`);
  assert.ok(must(merged[0]).maxStaleness === 0);
  assert.ok(quick.every(({ trainer }) => trainer.begun >= 5));
  assert.ok(slow.trainer.begun <= 3);
  assert.equal(count(coordinator, "update-dropped", { reason: "late" }), 0);
});

test("a device that was off in between delivers what it had begun before", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({
    rounds: 5,
    minDevices: 3,
    mode: { ...MODE, maxStaleness: 9 },
  });
  for (const id of ["a", "b"]) fleet.device(id, { stepMs: 300 });
  const first = fleet.device("sleeper", { stepMs: 350 });
  await fleet.until("it is done", () =>
    first.events.some((event) => event.kind === "working" && event.phase === "uploading"),
  );
  first.kill();
  await fleet.until("a version goes by", () => seen(coordinator, "round-started", { round: 2 }));
  const second = fleet.device("sleeper", { stepMs: 350 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  const received = coordinator.events.filter(({ kind }) => kind === "update-received");
  const own = received.filter((event) => "device" in event && event.device === "sleeper");
  assert.ok(own.length >= 1);
  assert.equal(own[0] && "round" in own[0] && own[0].round, 1);
  assert.ok(second.trainer.begun < 5);
});

test("what is there is merged when nobody else wakes up in time", async (t) => {
  const fleet = new Fleet(t);
  const settings = { rounds: 2, minDevices: 2, roundTimeoutMs: 6000, mode: { ...MODE, size: 9 } };
  const coordinator = fleet.coordinator(settings);
  fleet.device("a");
  const dead = fleet.device("dead", { stepMs: 10_000 });
  await fleet.until("a has delivered", () => seen(coordinator, "update-received", { device: "a" }));
  dead.kill({ isSilent: true });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  assert.deepEqual(
    merges(coordinator).map(({ devices }) => devices),
    [["a"], ["a"]],
  );
});

test("losing, doubling and delaying messages changes nothing but time", async (t) => {
  const faults = { lossRate: 0.08, duplicateRate: 0.1, reorderRate: 0.1, reorderMs: 150 };
  const fleet = new Fleet(t, faults, "x");
  const coordinator = fleet.coordinator({ rounds: 4, minDevices: 3, mode: MODE });
  for (const id of ["a", "b", "c"]) fleet.device(id);
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  const counted = merges(coordinator).flatMap(({ devices }) => devices);
  assert.equal(counted.length, count(coordinator, "update-received"));
});

test("a run goes on after a restart of its coordinator", async (t) => {
  const fleet = new Fleet(t);
  const settings = { rounds: 5, minDevices: 3, mode: MODE };
  const first = fleet.coordinator(settings);
  for (const id of ["a", "b", "c"]) fleet.device(id, { stepMs: id === "c" ? 400 : 100 });
  await fleet.until("a version is saved", () => seen(first, "checkpoint", { round: 2 }));
  first.kill();
  const second = fleet.coordinator(settings, { resume: true });
  const summary = await fleet.end(second);
  assert.equal(summary.ok, true, summary.reason);
  assert.equal(summary.rounds, 5);
  assert.ok(seen(second, "run-started", { resumedRound: 2 }));
});

test("a rule that cannot merge stale updates is refused before the run", () => {
  for (const kind of ["fed-avg", "ffa-lora", "het-lora", "r2sp"]) {
    assert.throws(
      () =>
        new Fleet({ after: () => undefined } as never).coordinator({
          mode: MODE,
          aggregation: { kind },
        }),
      /cannot merge stale updates/,
    );
  }
});
