/** Every reason for which a message or an update is not used, each through the reception of a whole run that it must not disturb. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { MessageStamp } from "../../src/protocol/message-stamp.ts";
import type { DeviceMessage } from "../../src/protocol/messages.ts";
import { type DeviceChannel, fleetTopics } from "../../src/protocol/topics.ts";
import {
  count,
  expectClose,
  expectedAdapter,
  savedAdapter,
  seen,
} from "../support/fleet-checks.ts";
import { Fleet, type RunningCoordinator } from "../support/fleet.ts";
import { type Misbehaviour, MUCH } from "../support/fake-trainer.ts";
import { DEVICE_MESSAGES, REPORT, ROOT } from "../support/messages.ts";
import { must } from "../support/must.ts";

const ROUNDS = 3;
const HELLO = must(DEVICE_MESSAGES[0]);
const HEARTBEAT = must(DEVICE_MESSAGES[1]);
const PRUNING = { final: 0.3, warmupShare: 0, blend: 0.5 };

/** A client of the broker that can say anything on any topic. */
class Stranger {
  readonly #send: (topic: string, payload: Uint8Array) => void;
  readonly #stamp: MessageStamp;
  readonly #epoch: number;

  constructor(
    send: (topic: string, payload: Uint8Array) => void,
    stamp: MessageStamp,
    epoch: number,
  ) {
    this.#send = send;
    this.#stamp = stamp;
    this.#epoch = epoch;
  }

  raw(device: string, channel: DeviceChannel, payload: string | Uint8Array): void {
    this.#send(fleetTopics("fedspine").device(device)[channel], Buffer.from(payload));
  }

  says(
    device: string,
    message: DeviceMessage,
    options: { name?: string; epoch?: number; channel?: DeviceChannel } = {},
  ): void {
    const { name = device, epoch = this.#epoch, channel = "evt" } = options;
    this.raw(device, channel, this.#stamp.encode(message, { device: name, epoch, round: 1 }));
  }

  offers(device: string, round: number, root = ROOT): void {
    const report = { ...REPORT, rank: 3, sparsity: 0 };
    this.says(device, { kind: "offer", round, attempt: 1, root, sizeBytes: 1000, report });
  }
}

interface Scene {
  readonly fleet: Fleet;
  readonly coordinator: RunningCoordinator;
  readonly stranger: Stranger;
}

/** Lets `act` happen in a run of two honest devices and expects it to be counted under `reason`, shown once, and without effect. */
async function expectDropped(
  t: TestContext,
  reason: string,
  act: (scene: Scene) => Promise<void> | void,
): Promise<void> {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({
    rounds: ROUNDS,
    roundTimeoutMs: 8000,
    maxUpdateBytes: MUCH / 2,
    validation: { warmup: 3 },
  });
  const transport = await fleet.broker.connect({
    clientId: "x",
    clean: true,
    keepaliveSeconds: 30,
  });
  const send = (topic: string, payload: Uint8Array): void =>
    void transport.publish(topic, payload, { qos: 1, retain: false });
  const samples = { a: 10, b: 20 };
  fleet.device("a", { numSamples: samples.a });
  fleet.device("b", { numSamples: samples.b, stepMs: 500 });
  await fleet.until("training", () => seen(coordinator, "device-progress", { phase: "training" }));
  const started = must(coordinator.events.find(({ kind }) => kind === "run-started"));
  const epoch = started.kind === "run-started" ? started.epoch : 0;
  const stamp = new MessageStamp(fleet.clock, Rng.fromSeed("stranger"));
  await act({ fleet, coordinator, stranger: new Stranger(send, stamp, epoch) });
  const { ok, reason: why, dropped } = await fleet.end(coordinator);
  assert.equal(ok, true, why);
  assert.ok((dropped[reason] ?? 0) > 0, JSON.stringify(dropped));
  const bare = reason.replace(/^update-/, "");
  const kind = bare === reason ? "message-dropped" : "update-dropped";
  if (!reason.startsWith("frame-")) assert.ok(seen(coordinator, kind, { reason: bare }));
  expectClose(savedAdapter(fleet, ROUNDS), expectedAdapter(samples, ROUNDS));
}

const messages: Record<string, (stranger: Stranger) => void> = {
  "not-json": (stranger) => stranger.raw("x", "evt", "{ not json"),
  malformed: (stranger) =>
    stranger.says("x", { ...HEARTBEAT, phase: "asleep" } as unknown as DeviceMessage),
  version: (stranger) => stranger.raw("x", "evt", JSON.stringify({ v: 99, t: "hello" })),
  "too-large": (stranger) => stranger.raw("x", "evt", " ".repeat(20_000)),
  "wrong-sender": (stranger) => stranger.says("x", HELLO, { name: "a" }),
  "wrong-topic": (stranger) => stranger.says("x", HELLO, { channel: "st" }),
  "no-hello": (stranger) => stranger.says("x", HEARTBEAT),
  "stale-epoch": (stranger) => stranger.says("a", HEARTBEAT, { epoch: 1 }),
};

for (const [reason, act] of Object.entries(messages)) {
  test(`a message is dropped and counted as ${reason}`, (t) =>
    expectDropped(t, reason, ({ stranger }) => act(stranger)));
}

test("a second process with a taken id is dropped and counted as taken-id", (t) =>
  expectDropped(t, "taken-id", ({ stranger }) => {
    // One start that comes back after another may be a late message; more of it is a matter of quarantine.
    for (const boot of ["boot-1111", "boot-2222", "boot-1111"]) {
      stranger.says("a", { ...HELLO, boot } as DeviceMessage);
    }
  }));

test("bytes that are no frame are dropped and counted", (t) =>
  expectDropped(t, "frame-too-short", ({ stranger }) => stranger.raw("a", "get", "no frame")));

test("an update of a round that is over is dropped as late", (t) =>
  expectDropped(t, "update-late", async ({ fleet, coordinator, stranger }) => {
    await fleet.until("round 2", () => seen(coordinator, "round-started", { round: 2 }));
    stranger.offers("a", 1);
  }));

test("an update of a round that has not begun is dropped as of the wrong round", (t) =>
  expectDropped(t, "update-wrong-round", ({ stranger }) => stranger.offers("a", 2)));

test("an update of a device that was not asked is dropped", (t) =>
  expectDropped(t, "update-not-asked", ({ stranger }) => {
    stranger.says("x", HELLO);
    stranger.offers("x", 1);
    stranger.says("x", { kind: "bye", reason: "enough" });
  }));

test("a second update of a device is dropped as a duplicate, and a repeated offer counts once", (t) =>
  expectDropped(t, "update-duplicate", async ({ fleet, coordinator, stranger }) => {
    const isIn = (): boolean => seen(coordinator, "update-received", { device: "a" });
    await fleet.until("a has delivered", isIn);
    stranger.offers("a", 1, "cd".repeat(32));
    const received = count(coordinator, "update-received", { device: "a" });
    stranger.offers("a", 1, must((await fleet.blobsOf("a"))[0]));
    assert.equal(received, count(coordinator, "update-received", { device: "a" }));
  }));

const updates: Record<string, Misbehaviour> = {
  "too-large": "sends-much",
  unreadable: "sends-garbage",
  "not-finite": "sends-nan",
  "wrong-shape": "sends-wrong-layers",
  "too-far": "goes-too-far",
};

for (const [reason, misbehaviour] of Object.entries(updates)) {
  test(`an update is dropped and counted as ${reason}`, (t) =>
    expectDropped(t, `update-${reason}`, ({ fleet }) => {
      fleet.device("hostile", { misbehaviour, numSamples: 1_000_000 });
    }));
}

test("an update with scores below zero is dropped", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1, minDevices: 3, pruning: PRUNING });
  for (const id of ["a", "b"]) fleet.device(id);
  fleet.device("hostile", { misbehaviour: "sends-bad-scores" });
  const { ok, dropped } = await fleet.end(coordinator);
  assert.deepEqual([ok, dropped["update-bad-scores"]], [true, 1]);
});

test("without a history the updates of the first round judge each other, and claims of samples are capped", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ rounds: 1, minDevices: 4 });
  for (const id of ["a", "b"]) fleet.device(id);
  fleet.device("greedy", { numSamples: 1_000_000 });
  fleet.device("hostile", { misbehaviour: "goes-too-far" });
  const { ok, dropped } = await fleet.end(coordinator);
  assert.deepEqual([ok, dropped["update-too-far"]], [true, 1]);
  assert.ok(seen(coordinator, "update-dropped", { device: "hostile", reason: "too-far" }));
  const capped = must(coordinator.events.find(({ kind }) => kind === "samples-capped"));
  assert.deepEqual(capped, { kind: "samples-capped", round: 1, devices: ["greedy"], most: 100 });
  assert.ok(seen(coordinator, "aggregated", { numSamples: 120 }));
});
