/** Whole runs over the in-process broker: the plain course and each way in which devices fail, come back or misbehave. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { ConfigError } from "../../src/base/errors.ts";
import { decodeAdapter } from "../../src/coordinator/adapter-bytes.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { planOf } from "../../src/coordinator/coordinator.ts";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import { loraStack } from "../../src/strategies/aggregation/lora-stack.ts";
import { LAYERS, denseProduct, moduleNamed, relativeDistance } from "../support/adapters.ts";
import { fakeUpdate } from "../support/fake-trainer.ts";
import { Fleet, type RunningCoordinator } from "../support/fleet.ts";
import { must } from "../support/must.ts";

const SCALE = 2;

function seen(
  coordinator: RunningCoordinator,
  kind: RunEvent["kind"],
  part: Record<string, unknown> = {},
): boolean {
  return count(coordinator, kind, part) > 0;
}

function count(
  coordinator: RunningCoordinator,
  kind: RunEvent["kind"],
  part: Record<string, unknown> = {},
): number {
  const fits = (event: RunEvent): boolean =>
    event.kind === kind &&
    Object.entries(part).every(([key, value]) => (event as Record<string, unknown>)[key] === value);
  return coordinator.events.filter(fits).length;
}

/** What a run of `rounds` rounds has to end with when these devices took part in each. */
function expectedAdapter(devices: Record<string, number>, rounds: number): AdapterState {
  const settings = {
    base: "x",
    labels: ["no", "yes"],
    rounds,
    plan: { rank: 3, alpha: 6, steps: 5 },
  };
  const config = parseCoordinatorConfig(settings);
  let state: AdapterState | null = null;
  for (let round = 1; round <= rounds; round++) {
    const updates = Object.entries(devices).map(([deviceId, numSamples]) => {
      return { ...fakeUpdate(deviceId, planOf(config, round), state), deviceId, numSamples };
    });
    state = loraStack.aggregate(updates, { rank: 3, scale: SCALE }).state;
  }
  return state as AdapterState;
}

function savedAdapter(fleet: Fleet, round: number): AdapterState {
  const path = join(fleet.runFolder, `adapter-round-${round}.safetensors`);
  return decodeAdapter(readFileSync(path), SCALE, path);
}

function expectClose(got: AdapterState, want: AdapterState): void {
  for (const { name } of LAYERS) {
    const distance = relativeDistance(
      denseProduct(moduleNamed(got, name)),
      denseProduct(moduleNamed(want, name)),
    );
    assert.ok(distance < 1e-5, `${name} differs by ${distance}`);
  }
}

test("a run trains the mean of its devices, fetches the base once, and dismisses everybody", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 3 });
  const samples = { pump: 10, valve: 20, drill: 70 };
  const devices = Object.entries(samples).map(([id, numSamples]) =>
    fleet.device(id, { numSamples }),
  );
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(summary.rounds, 2);
  expectClose(savedAdapter(fleet, 2), expectedAdapter(samples, 2));
  await fleet.until("the devices end", () => devices.every(({ endedWith }) => endedWith !== null));
  for (const { trainer, endedWith } of devices) {
    assert.match(endedWith ?? "", /2 rounds are done/);
    assert.equal(trainer.begun, 2);
    assert.equal(trainer.prepared.length, 1);
    assert.equal(
      readFileSync(join(must(trainer.prepared[0]), "model.safetensors"), "utf8"),
      "weights of the base",
    );
  }
  assert.deepEqual(summary.before, { accuracy: 0.5, loss: 1, macroF1: 0.4 });
  const drill = must(summary.devices.find(({ id }) => id === "drill"));
  assert.deepEqual([drill.rounds, drill.steps, drill.numSamples], [2, 10, 70]);
  assert.ok(drill.trainMs >= 1000 && drill.bytesUp > 1000 && drill.bytesDown > 1000);
  assert.deepEqual(summary.dropped, {});
  const kinds = fleet.log().map(({ kind }) => kind);
  for (const kind of [
    "run-started",
    "device-joined",
    "round-started",
    "update-received",
    "aggregated",
    "checkpoint",
    "finished",
  ]) {
    assert.ok(kinds.includes(kind), `${kind} is not in the log`);
  }
});

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

test("a device that dies without a word is given up when its lease is over, long before the deadline", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, roundTimeoutMs: 500_000, rounds: 1 });
  for (const id of ["a", "b"]) fleet.device(id);
  await fleet.until("b joins", () => seen(coordinator, "device-joined", { device: "b" }));
  const dead = fleet.device("dead", { stepMs: 1000 });
  coordinator.stop();
  await fleet.end(coordinator);
  const resumed = fleet.coordinator(
    { minDevices: 3, roundTimeoutMs: 500_000, rounds: 1 },
    { resume: true },
  );
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

test("updates that cannot be used are dropped by reason and never merged", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({
    minDevices: 7,
    rounds: 1,
    quorum: 0.2,
    maxUpdateBytes: 100_000,
  });
  fleet.device("a");
  fleet.device("b", { numSamples: 30 });
  const bad = [
    "sends-nan",
    "sends-wrong-layers",
    "sends-garbage",
    "sends-much",
    "diverges",
  ] as const;
  for (const misbehaviour of bad) fleet.device(misbehaviour, { misbehaviour, stepMs: 200 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  for (const [device, reason] of Object.entries({
    "sends-nan": "not-finite",
    "sends-wrong-layers": "wrong-shape",
    "sends-garbage": "unreadable",
    "sends-much": "too-large",
  })) {
    assert.ok(
      seen(coordinator, "update-dropped", { device, reason }),
      `${device} is not dropped as ${reason}`,
    );
    assert.equal(summary.dropped[`update-${reason}`], 1);
  }
  assert.ok(seen(coordinator, "device-failed", { device: "diverges" }));
  assert.deepEqual(
    summary.devices.filter(({ rounds }) => rounds > 0).map(({ id }) => id),
    ["a", "b"],
  );
  expectClose(savedAdapter(fleet, 1), expectedAdapter({ a: 10, b: 30 }, 1));
});

test("without enough usable updates a round is tried again, and then the run fails", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ minDevices: 2, maxAttempts: 2, quorum: 1 });
  fleet.device("a");
  const broken = fleet.device("b", { misbehaviour: "fails" });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, false);
  assert.match(summary.reason, /round 1: 1 of 2 needed updates after 2 attempts/);
  assert.equal(broken.trainer.begun, 2);
});

test("messages that nobody should send are counted by reason and change nothing", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1 });
  await fleet.until("it is there", () => seen(coordinator, "run-started"));
  const intruder = await fleet.broker.connect({
    clientId: "intruder",
    clean: true,
    keepaliveSeconds: 30,
  });
  const say = (topic: string, text: string): Promise<void> =>
    intruder.publish(`fl/1/fedspine/d/${topic}`, Buffer.from(text), { qos: 1, retain: false });
  const envelope = {
    v: 1,
    t: "heartbeat",
    id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    dev: "x",
    epoch: 0,
    round: 0,
    seq: 1,
    body: {},
  };
  await say("x/evt", "not json");
  await say("x/evt", JSON.stringify({ ...envelope, v: 2 }));
  await say("x/evt", JSON.stringify(envelope));
  await say("x/evt", JSON.stringify({ ...envelope, t: "obey" }));
  await say("y/evt", JSON.stringify({ ...envelope, t: "bye", body: { reason: "" } }));
  await say(
    "x/evt",
    JSON.stringify({ ...envelope, t: "presence", body: { boot: "boot-0001", online: true } }),
  );
  await say(
    "x/evt",
    JSON.stringify({
      ...envelope,
      body: { round: 1, phase: "idle", step: 0, numSteps: 0, loss: null },
    }),
  );
  await say("x/evt", "x".repeat(20_000));
  for (const id of ["a", "b"]) fleet.device(id);
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  const expected = {
    "not-json": 1,
    version: 1,
    malformed: 2,
    "wrong-sender": 1,
    "wrong-topic": 1,
    "stale-epoch": 1,
    "too-large": 1,
  };
  assert.deepEqual(summary.dropped, expected);
  assert.equal(
    count(coordinator, "message-dropped", { reason: "malformed" }),
    1,
    "told once, counted always",
  );
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

test("a run folder is not started twice, nor resumed when it is empty", async (t) => {
  const fleet = new Fleet(t);
  await assert.rejects(fleet.coordinator({}, { resume: true }).summary, ConfigError);
  const first = fleet.coordinator();
  await fleet.until("it is there", () => seen(first, "run-started"));
  await assert.rejects(fleet.coordinator().summary, ConfigError);
  first.stop();
  await fleet.end(first);
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

test("a second device with a taken id is noticed and does not count twice", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1 });
  fleet.device("twin", { stepMs: 400 });
  const other = { stateFolder: join(fleet.folder, "elsewhere") };
  fleet.device("twin", { stepMs: 400, numSamples: 77 }, other);
  fleet.device("a", { stepMs: 400 });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  assert.equal(count(coordinator, "update-received", { device: "twin" }), 1);
  assert.ok((summary.dropped["taken-id"] ?? 0) > 0);
});

test("random selection asks for the wanted number, the same ones for the same seed", async (t) => {
  const asked: string[][] = [];
  for (let trial = 0; trial < 2; trial++) {
    const fleet = new Fleet(t);
    const coordinator = fleet.coordinator({
      minDevices: 4,
      rounds: 2,
      seed: 5,
      selection: { kind: "random", count: 2 },
    });
    for (const id of ["a", "b", "c", "d"]) fleet.device(id);
    const summary = await fleet.end(coordinator);
    assert.equal(summary.ok, true);
    const rounds = coordinator.events.flatMap((event) =>
      event.kind === "round-started" ? [event.devices] : [],
    );
    for (const devices of rounds) assert.equal(devices.length, 2);
    asked.push(rounds.flat());
  }
  assert.deepEqual(asked[0], asked[1]);
});

test("an evaluation that gives no number ends the run", async (t) => {
  const fleet = new Fleet(t);
  const evaluate = (adapter: AdapterState | null) =>
    Promise.resolve({ accuracy: 0.5, loss: adapter === null ? 1 : Number.NaN, macroF1: 0.4 });
  const coordinator = fleet.coordinator({}, { evaluate });
  for (const id of ["a", "b"]) fleet.device(id);
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, false);
  assert.match(summary.reason, /round 1: the evaluation gave no number/);
});

test("a slow machine and a slow link take their time, and count the same", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1 });
  fleet.device("quick");
  fleet.device(
    "slow",
    {},
    { speed: 0.25, link: { upBytesPerSecond: 2000, downBytesPerSecond: 4000, latencyMs: 50 } },
  );
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true);
  const of = (id: string) => must(summary.devices.find((device) => device.id === id));
  const ratio = of("slow").trainMs / of("quick").trainMs;
  assert.ok(ratio > 3 && ratio < 5, `a quarter of the speed took ${ratio} times as long`);
  assert.ok(of("slow").uploadMs > 3 * of("quick").uploadMs);
});
