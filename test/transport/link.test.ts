/** The shaped link: bytes take their time, both connections share it, everything is counted. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { Link } from "../../src/transport/link.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";

/** 100 bytes on the link: topic "t", overhead 8, payload 91. */
const hundred = new Uint8Array(91);
const quiet = { qos: 0, retain: false } as const;

async function setUp(upBytesPerSecond: number, downBytesPerSecond: number, latencyMs: number) {
  const clock = new ManualClock();
  const broker = new MemoryBroker({ clock, rng: Rng.fromSeed(1) });
  const link = new Link({ clock, upBytesPerSecond, downBytesPerSecond, latencyMs });
  const near = link.wrap(broker);
  const device = await near.connect({ clientId: "dev", clean: true, keepaliveSeconds: 30 });
  const far = await broker.connect({ clientId: "far", clean: true, keepaliveSeconds: 30 });
  return { clock, link, near, device, far };
}

test("a message takes its bytes' time plus the latency on the way up", async () => {
  const { clock, link, device, far } = await setUp(1000, Infinity, 50);
  const arrivedMs: number[] = [];
  await far.subscribe("t", () => arrivedMs.push(clock.nowMs()));
  let done = 0;
  for (let i = 0; i < 3; i++) void device.publish("t", hundred, quiet).then(() => done++);
  clock.advance(149);
  assert.deepEqual(arrivedMs, []);
  clock.advance(1000);
  await turn();
  assert.deepEqual(arrivedMs, [150, 250, 350]);
  assert.equal(done, 3);
  assert.deepEqual(link.up, { bytes: 300, messages: 3 });
  assert.deepEqual(link.down, { bytes: 0, messages: 0 });
});

test("two connections of one device share the way down", async () => {
  const { clock, link, near, device, far } = await setUp(Infinity, 1000, 0);
  const second = await near.connect({ clientId: "dev.data", clean: true, keepaliveSeconds: 30 });
  const arrivedMs: number[] = [];
  await device.subscribe("t", () => arrivedMs.push(clock.nowMs()));
  await second.subscribe("t", () => arrivedMs.push(clock.nowMs()));
  await far.publish("t", hundred, quiet);
  clock.advance(1000);
  assert.deepEqual(arrivedMs, [100, 200]);
  assert.deepEqual(link.down, { bytes: 200, messages: 2 });
});

test("nothing arrives on a connection that was closed while the message was under way", async () => {
  const { clock, device, far } = await setUp(Infinity, 1000, 0);
  let arrivals = 0;
  await device.subscribe("t", () => arrivals++);
  await far.publish("t", hundred, quiet);
  clock.advance(50);
  await device.close();
  clock.advance(1000);
  assert.equal(arrivals, 0);
  await assert.rejects(device.publish("t", hundred, quiet));
});
