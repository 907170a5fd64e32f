/** The in-process broker: the common suite, then faults, time and determinism. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, systemClock } from "../../src/base/clock.ts";
import type { FedspineError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";
import type { MemoryFaults } from "../../src/transport/memory.ts";
import { transportSuite } from "../support/transport-suite.ts";

transportSuite("memory", async () => {
  const faults: FedspineError[] = [];
  const broker = new MemoryBroker({
    clock: systemClock,
    rng: Rng.fromSeed(1),
    reconnectAfterMs: 20,
    onFault: (fault) => faults.push(fault),
  });
  return {
    factory: broker,
    unreliable: broker,
    faults,
    cut: (clientId) => broker.cut(clientId),
    close: async () => {},
  };
});

/** Sends 0..count-1 and returns what arrives, in order. */
async function sendThrough(
  faults: Partial<MemoryFaults>,
  count: number,
  seed = 7,
): Promise<number[]> {
  const clock = new ManualClock();
  const broker = new MemoryBroker({ clock, rng: Rng.fromSeed(seed), faults });
  const sender = await broker.connect({ clientId: "a", clean: true, keepaliveSeconds: 30 });
  const receiver = await broker.connect({ clientId: "b", clean: true, keepaliveSeconds: 30 });
  const arrived: number[] = [];
  await receiver.subscribe("t", (_, payload) => arrived.push(payload[0] ?? -1));
  for (let i = 0; i < count; i++) {
    await sender.publish("t", Uint8Array.of(i), { qos: 0, retain: false });
    clock.advance(1);
  }
  clock.advance(10_000);
  return arrived;
}

test("nothing arrives before the latency has passed", async () => {
  const clock = new ManualClock();
  const broker = new MemoryBroker({ clock, rng: Rng.fromSeed(1), faults: { latencyMs: 50 } });
  const link = await broker.connect({ clientId: "a", clean: true, keepaliveSeconds: 30 });
  let arrivals = 0;
  await link.subscribe("t", () => arrivals++);
  await link.publish("t", Uint8Array.of(1), { qos: 1, retain: false });
  clock.advance(49);
  assert.equal(arrivals, 0);
  clock.advance(1);
  assert.equal(arrivals, 1);
});

test("loss, duplication, reordering and corruption happen at about their rates", async () => {
  const count = 200;
  const lost = await sendThrough({ lossRate: 0.3 }, count);
  assert.ok(lost.length > 110 && lost.length < 170, `${lost.length} of 200 arrived`);
  const doubled = await sendThrough({ duplicateRate: 0.3 }, count);
  assert.ok(doubled.length > 230 && doubled.length < 290, `${doubled.length} arrived`);
  assert.deepEqual(
    doubled,
    [...doubled].sort((a, b) => a - b),
  );
  const shuffled = await sendThrough({ reorderRate: 0.3, reorderMs: 5 }, count);
  assert.equal(new Set(shuffled).size, count);
  assert.notDeepEqual(
    shuffled,
    [...shuffled].sort((a, b) => a - b),
  );
  const corrupt = await sendThrough({ corruptRate: 0.3 }, count);
  const wrong = corrupt.filter((value, i) => value !== i).length;
  assert.ok(wrong > 30 && wrong < 90, `${wrong} of 200 corrupt`);
});

test("the same seed gives the same run", async () => {
  const faults = { lossRate: 0.2, duplicateRate: 0.2, reorderRate: 0.2, reorderMs: 7 };
  assert.deepEqual(await sendThrough(faults, 100), await sendThrough(faults, 100));
  assert.notDeepEqual(await sendThrough(faults, 100), await sendThrough(faults, 100, 8));
});

test("a broker that stops forgets sessions and retained messages, and clients return after it starts", async () => {
  const clock = new ManualClock();
  const broker = new MemoryBroker({ clock, rng: Rng.fromSeed(1) });
  const link = await broker.connect({ clientId: "a", clean: false, keepaliveSeconds: 30 });
  const got: string[] = [];
  await link.subscribe("t/+", (topic) => got.push(topic));
  await link.publish("t/kept", Uint8Array.of(1), { qos: 1, retain: true });
  clock.advance(0);
  broker.stop();
  assert.equal(link.state, "disconnected");
  await assert.rejects(broker.connect({ clientId: "b", clean: true, keepaliveSeconds: 30 }));
  clock.advance(5000);
  assert.equal(link.state, "disconnected");
  broker.start();
  clock.advance(1000);
  assert.equal(link.state, "connected");
  await link.publish("t/live", Uint8Array.of(2), { qos: 1, retain: false });
  clock.advance(0);
  assert.deepEqual(got, ["t/kept", "t/live"]);
});
