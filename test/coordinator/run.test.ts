/** Whole runs over the in-process broker: the plain course, its settings, and devices that send what they should not. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { ConfigError } from "../../src/base/errors.ts";
import {
  count,
  expectClose,
  expectedAdapter,
  savedAdapter,
  seen,
} from "../support/fleet-checks.ts";
import { Fleet } from "../support/fleet.ts";
import { must } from "../support/must.ts";

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

test("a device that stays after a run takes part in the next one", async (t) => {
  const fleet = new Fleet(t);
  const first = fleet.coordinator({ rounds: 1, minDevices: 1 });
  const device = fleet.device("a", {}, { staysAfterRun: true });
  assert.equal((await fleet.end(first)).ok, true);
  const second = fleet.coordinator(
    { rounds: 1, minDevices: 1 },
    { runFolder: join(fleet.folder, "second") },
  );
  assert.equal((await fleet.end(second)).ok, true);
  assert.equal(device.trainer.begun, 2, "the same task of another run is other work");
  assert.equal(device.trainer.prepared.length, 2, "what one run prunes is whole in the next");
  assert.ok(seen(second, "device-joined", { hasBase: true }));
  assert.equal(device.endedWith, null);
  device.stop();
  await fleet.until("it stops", () => device.endedWith === "stopped");
});

test("nobody keeps more blobs than the next round needs", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 4 });
  for (const id of ["a", "b"]) fleet.device(id);
  assert.equal((await fleet.end(coordinator)).ok, true);
  const baseFiles = 2;
  assert.equal(
    (await fleet.blobsOf(fleet.runFolder)).length,
    baseFiles + 1,
    "what the last round started from",
  );
  assert.equal(
    (await fleet.blobsOf("a")).length,
    baseFiles + 2,
    "the last adapter and the last update",
  );
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

test("a run folder is not started twice, nor resumed when it is empty", async (t) => {
  const fleet = new Fleet(t);
  await assert.rejects(fleet.coordinator({}, { resume: true }).summary, ConfigError);
  const first = fleet.coordinator();
  await fleet.until("it is there", () => seen(first, "run-started"));
  await assert.rejects(fleet.coordinator().summary, ConfigError);
  first.stop();
  await fleet.end(first);
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
