/** The reception: leases under a broken link and a stalled process, and the epoch that the fleet sees. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { ControlChannel, type HeardMessage } from "../../src/coordinator/control-channel.ts";
import { Reception } from "../../src/coordinator/reception.ts";
import { Roster } from "../../src/coordinator/roster.ts";
import type { RoundInput } from "../../src/coordinator/round-state.ts";
import { DropTally } from "../../src/coordinator/tallies.ts";
import { decodeControl } from "../../src/protocol/envelope.ts";
import { MessageStamp } from "../../src/protocol/message-stamp.ts";
import { type CoordinatorMessage, readCoordinatorMessage } from "../../src/protocol/messages.ts";
import { fleetTopics } from "../../src/protocol/topics.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";
import { ROOT } from "../support/messages.ts";

const HEARTBEAT_MS = 1000;
const EPOCH = 100;
const HELLO: HeardMessage = {
  kind: "hello",
  boot: "boot-0001",
  capabilities: { kind: "gateway", cores: 4, memoryBytes: 1e9 },
  have: [ROOT],
};

/** A clock that can jump past its timers, as time does for a process that stands still. */
class StallingClock extends ManualClock {
  #stalledMs = 0;

  stall(durationMs: number): void {
    this.#stalledMs += durationMs;
  }

  override nowMs(): number {
    return super.nowMs() + this.#stalledMs;
  }
}

async function setUp() {
  const clock = new StallingClock();
  const broker = new MemoryBroker({ clock, rng: Rng.fromSeed(1) });
  const topics = fleetTopics("fleet");
  const channel = new ControlChannel(topics, EPOCH, clock, Rng.fromSeed("channel"));
  const fed: RoundInput[] = [];
  const interrupted: string[] = [];
  const reception = new Reception(
    {
      clock,
      channel,
      roster: new Roster({ clock, leaseMs: 3 * HEARTBEAT_MS, graceMs: HEARTBEAT_MS }),
      journal: { note: () => undefined },
      drops: new DropTally(),
      heartbeatMs: HEARTBEAT_MS,
      baseRoots: new Set([ROOT]),
      tell: () => undefined,
    },
    {
      round: 1,
      isBusy: false,
      repeats: () => false,
      feed: (input) => fed.push(input),
      reconcile: () => undefined,
      interrupt: (reason) => interrupted.push(reason),
    },
  );
  const seen: { epoch: number; status: string }[] = [];
  const observer = await broker.connect({
    clientId: "observer",
    clean: true,
    keepaliveSeconds: 30,
  });
  await observer.subscribe(topics.epoch, (_, payload) => {
    const control = decodeControl(payload);
    const message = control.ok ? readCoordinatorMessage(control.value) : null;
    if (control.ok && message?.ok === true && message.value.kind === "epoch") {
      seen.push({ epoch: control.value.epoch, status: message.value.status });
    }
  });
  const other = new MessageStamp(clock, Rng.fromSeed("other"));
  /** What another coordinator of the fleet says. */
  const otherSays = async (status: "here" | "gone", epoch: number): Promise<void> => {
    const message: CoordinatorMessage = { kind: "epoch", boot: "boot-other", status };
    const payload = other.encode(message, { device: "fleet", epoch, round: 0 });
    await observer.publish(topics.epoch, payload, { qos: 1, retain: true });
  };
  const pass = async (durationMs: number): Promise<void> => {
    for (let ms = 0; ms < durationMs; ms += 100) {
      await turn();
      clock.advance(100);
    }
  };
  const open = async (): Promise<void> => {
    const transport = await broker.connect({ clientId: "hub", clean: true, keepaliveSeconds: 30 });
    await channel.open(transport, reception);
    reception.open();
    await pass(200);
  };
  return { clock, channel, reception, fed, interrupted, seen, otherSays, pass, open };
}

test("while the link is down no lease runs out, and afterwards everybody has a fresh one", async () => {
  const { reception, fed, pass, open } = await setUp();
  await open();
  reception.heard("a", HELLO, { epoch: 0, id: "" });
  reception.linkChanged("disconnected");
  await pass(10_000);
  reception.linkChanged("connected");
  await pass(2500);
  assert.deepEqual(
    fed.map(({ kind }) => kind),
    ["present"],
  );
  await pass(1500);
  assert.deepEqual(fed.at(-1), { kind: "left", device: "a" });
});

test("a process that stood still does not hold the silence against its devices", async () => {
  const { clock, reception, fed, pass, open } = await setUp();
  await open();
  reception.heard("a", HELLO, { epoch: 0, id: "" });
  clock.stall(60_000);
  await pass(1000);
  assert.deepEqual(
    fed.map(({ kind }) => kind),
    ["present"],
  );
});

test("the epoch is announced, again after others have spoken, and above any that is gone", async () => {
  const { channel, seen, interrupted, otherSays, pass, open } = await setUp();
  await otherSays("gone", EPOCH + 5);
  await open();
  assert.equal(channel.epoch, EPOCH + 6);
  assert.deepEqual(seen.at(-1), { epoch: EPOCH + 6, status: "here" });
  await otherSays("gone", EPOCH);
  await pass(300);
  assert.deepEqual(seen.at(-1), { epoch: EPOCH + 6, status: "here" });
  assert.deepEqual(interrupted, []);
  await otherSays("here", EPOCH + 7);
  await pass(300);
  assert.deepEqual(interrupted, ["another coordinator of this fleet has taken over"]);
});

test("a device that has seen a later epoch lifts this one above it", async () => {
  const { channel, reception, seen, pass, open } = await setUp();
  await open();
  reception.heard("a", HELLO, { epoch: EPOCH + 40, id: "" });
  await pass(300);
  assert.equal(channel.epoch, EPOCH + 41);
  assert.deepEqual(seen.at(-1), { epoch: EPOCH + 41, status: "here" });
});
