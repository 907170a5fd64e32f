/** Whole runs with sealed control messages: they end as plain ones do, over faulty links and restarts, and strangers change nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { MessageStamp } from "../../src/protocol/message-stamp.ts";
import { fleetTopics } from "../../src/protocol/topics.ts";
import { Fleet } from "../support/fleet.ts";
import { SealedFleet } from "../support/sealed-fleet.ts";

function sealed(fleet: Fleet): void {
  fleet.seals = new SealedFleet();
}

test("a sealed run goes its course and drops nothing", async (t) => {
  const fleet = new Fleet(t);
  sealed(fleet);
  const devices = ["a", "b", "c"].map((id) => fleet.device(id));
  const coordinator = fleet.coordinator({ minDevices: 3 });
  const summary = await fleet.end(coordinator);
  assert.deepEqual([summary.ok, summary.rounds, summary.dropped], [true, 2, {}]);
  await fleet.until("the devices end", () => devices.every(({ endedWith }) => endedWith !== null));
});

test("lost, repeated, late and damaged messages cost a sealed run time only", async (t) => {
  const faults = { lossRate: 0.05, duplicateRate: 0.2, reorderRate: 0.05, reorderMs: 40 };
  const fleet = new Fleet(t, { ...faults, corruptRate: 0.02 }, 7);
  sealed(fleet);
  const devices = ["a", "b", "c"].map((id) => fleet.device(id));
  const coordinator = fleet.coordinator({ minDevices: 3 });
  const summary = await fleet.end(coordinator);
  assert.deepEqual([summary.ok, summary.rounds], [true, 2]);
  assert.ok((summary.dropped["replayed"] ?? 0) > 0, JSON.stringify(summary.dropped));
  assert.ok((summary.dropped["bad-signature"] ?? 0) > 0, JSON.stringify(summary.dropped));
  for (const device of devices) device.stop();
});

test("a coordinator that crashes and comes back goes on with the devices that it had", async (t) => {
  const fleet = new Fleet(t);
  sealed(fleet);
  const devices = ["a", "b"].map((id) => fleet.device(id, {}, { staysAfterRun: true }));
  const first = fleet.coordinator({ minDevices: 2, rounds: 3 });
  await fleet.until("round 1 is done", () =>
    first.events.some((event) => event.kind === "round-finished" && event.round === 1),
  );
  first.kill();
  const second = fleet.coordinator({ minDevices: 2, rounds: 3 }, { resume: true });
  const summary = await fleet.end(second);
  assert.deepEqual([summary.ok, summary.rounds], [true, 3]);
  for (const device of devices) device.stop();
});

test("a coordinator with a fresh folder is believed by devices that know a newer incarnation", async (t) => {
  const fleet = new Fleet(t);
  sealed(fleet);
  const device = fleet.device("a", {}, { staysAfterRun: true });
  for (const name of ["one", "two", "three"]) {
    const runFolder = `${fleet.folder}/${name}`;
    const run = fleet.coordinator({ minDevices: 1, rounds: 1 }, { runFolder });
    const summary = await fleet.end(run);
    assert.equal(summary.ok, true, `${name}: ${summary.reason}`);
    // As after a restart of a broker that keeps nothing on disk.
    const memory = await fleet.broker.connect({
      clientId: "eraser",
      clean: true,
      keepaliveSeconds: 9,
    });
    const { epoch } = fleetTopics("fedspine");
    await memory.publish(epoch, new Uint8Array(0), { qos: 1, retain: true });
    await memory.close();
  }
  device.stop();
});

test("a stranger on the broker can neither command a device nor speak for one", async (t) => {
  const fleet = new Fleet(t);
  sealed(fleet);
  const topics = fleetTopics("fedspine");
  const devices = ["a", "b"].map((id) => fleet.device(id));
  const coordinator = fleet.coordinator({ minDevices: 2 });
  const stranger = await fleet.broker.connect({
    clientId: "stranger",
    clean: true,
    keepaliveSeconds: 30,
  });
  const stamp = new MessageStamp(fleet.clock, Rng.fromSeed("stranger"));
  const idle = { kind: "state", wanted: { kind: "finished", reason: "go home" } } as const;
  const [once, address] = [{ qos: 1, retain: false } as const, { epoch: 99, round: 1 }];
  const attack = async (): Promise<void> => {
    const command = stamp.encode({ ...idle, heartbeatMs: 1000 }, { device: "a", ...address });
    await stranger.publish(topics.device("a").cmd, command, once);
    const bye = stamp.encode({ kind: "bye", reason: "x" }, { device: "b", ...address });
    await stranger.publish(topics.device("b").evt, bye, once);
    const gone = stamp.encode(
      { kind: "epoch", boot: "zz", status: "here" },
      { device: "fedspine", ...address },
    );
    await stranger.publish(topics.epoch, gone, once);
  };
  await fleet.until("a trains", () =>
    coordinator.events.some((event) => event.kind === "device-progress" && event.device === "a"),
  );
  await attack();
  const summary = await fleet.end(coordinator);
  assert.deepEqual([summary.ok, summary.rounds], [true, 2]);
  assert.deepEqual(summary.dropped, { unsealed: 2 });
  const kinds = coordinator.events.map(({ kind }) => kind);
  assert.ok(!kinds.slice(0, kinds.indexOf("finished")).includes("device-left"));
  const ignored = devices.flatMap(({ events }) =>
    events.filter(({ kind }) => kind === "message-dropped"),
  );
  assert.equal(ignored.length, 3);
});
