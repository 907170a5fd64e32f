/** The bundled broker against clients that misbehave, and its bounds on memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startBroker } from "../../broker/src/broker.ts";
import type { Broker } from "../../broker/src/broker.ts";
import { BrokerConfigError } from "../../broker/src/config.ts";
import type { BrokerConfigInput } from "../../broker/src/config.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { eventually } from "../support/eventually.ts";
import {
  type RawConnection,
  connectPacket,
  publishPacket,
  rawConnection,
  subscribePacket,
} from "../../bench/hostile/mqtt-packets.ts";

async function brokerFor(t: TestContext, config: BrokerConfigInput = {}): Promise<Broker> {
  const broker = await startBroker({ port: 0, ...config });
  t.after(() => broker.close());
  return broker;
}

function client(broker: Broker, clientId: string, clean = true): Promise<Transport> {
  return mqttTransportFactory({
    url: `mqtt://127.0.0.1:${broker.port}`,
    clock: systemClock,
    rng: Rng.fromSeed(clientId),
    backoff: { firstMs: 20, maxMs: 100 },
  }).connect({ clientId, clean, keepaliveSeconds: 30 });
}

function raw(broker: Broker): Promise<RawConnection> {
  return rawConnection(broker.port);
}

test("it listens on loopback unless told otherwise", async (t) => {
  const broker = await brokerFor(t);
  assert.equal(broker.host, "127.0.0.1");
  assert.equal(broker.wsPort, undefined);
});

test("a wrong or unknown setting is refused by name", async () => {
  await assert.rejects(startBroker({ port: 70_000 }), (error) => {
    return error instanceof BrokerConfigError && error.message.includes("port");
  });
  const misspelt = { prot: 1 } as BrokerConfigInput;
  await assert.rejects(startBroker(misspelt), (error) => {
    return error instanceof BrokerConfigError && error.message.includes("prot");
  });
});

test("a huge CONNECT is refused by its header and holds no memory", async (t) => {
  const broker = await brokerFor(t);
  const attackers = await Promise.all(Array.from({ length: 10 }, () => raw(broker)));
  for (const { socket } of attackers) {
    socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x63]));
    socket.write(Buffer.alloc(65_536));
  }
  await eventually("ten refusals", () => attackers.every(({ closed }) => closed()));
  assert.equal(broker.stats().refused["packet-too-large"], 10);
});

test("an empty client id gets CONNACK 2, MQTT 5 gets CONNACK 1", async (t) => {
  const broker = await brokerFor(t);
  const anonymous = await raw(broker);
  anonymous.socket.write(connectPacket("", false));
  await eventually("the refusal", () => anonymous.closed());
  assert.deepEqual([...anonymous.bytes()], [0x20, 2, 0, 2]);
  const modern = await raw(broker);
  modern.socket.write(Buffer.from([0x10, 14, 0, 4, 77, 81, 84, 84, 5, 2, 0, 30, 0, 0, 1, 97]));
  await eventually("the refusal", () => modern.closed());
  assert.equal(modern.bytes()[3], 1);
});

test("a QoS 2 publish ends the connection, a QoS 2 subscription gets SUBACK 128", async (t) => {
  const broker = await brokerFor(t);
  const { socket, closed, bytes } = await raw(broker);
  socket.write(connectPacket("a"));
  await eventually("CONNACK", () => bytes().byteLength === 4);
  socket.write(Buffer.from([0x82, 6, 0, 9, 0, 1, 116, 2]));
  await eventually("SUBACK", () => bytes().byteLength === 9);
  assert.deepEqual([...bytes().subarray(4)], [0x90, 3, 0, 9, 128]);
  socket.write(publishPacket("t", Buffer.from("x"), 4));
  await eventually("the end", () => closed());
  assert.equal(broker.stats().refused["publish-refused"], 1);
});

test("a packet over the limit ends only its own connection", async (t) => {
  const broker = await brokerFor(t, { maxPacketBytes: 1000 });
  const [good, bad] = [await client(broker, "good"), await raw(broker)];
  bad.socket.write(connectPacket("bad"));
  await eventually("CONNACK", () => bad.bytes().byteLength === 4);
  bad.socket.write(Buffer.from([0x30, 0x80, 0x08]));
  await eventually("the refusal", () => bad.closed());
  let arrivals = 0;
  await good.subscribe("t", () => arrivals++);
  await good.publish("t", new Uint8Array(900), { qos: 1, retain: false });
  await eventually("the message", () => arrivals === 1);
  await good.close();
});

test("silence before CONNECT, and connections beyond the limit, are ended", async (t) => {
  const broker = await brokerFor(t, { connectTimeoutMs: 100, maxConnections: 3 });
  const silent = await Promise.all(Array.from({ length: 5 }, () => raw(broker)));
  await eventually("the surplus", () => silent.filter(({ closed }) => closed()).length >= 2);
  await eventually("the rest", () => silent.every(({ closed }) => closed()));
  assert.equal(broker.stats().refused["too-many-connections"], 2);
});

test("a stalled subscriber neither stops other topics nor lets its publisher fill the memory", async (t) => {
  const maxUnroutedBytes = 4 * 1024 * 1024;
  const broker = await brokerFor(t, { maxUnroutedBytes, drainTimeoutMs: 60_000 });
  const stalled = await raw(broker);
  stalled.socket.write(connectPacket("stalled"));
  stalled.socket.write(Buffer.from([0x82, 6, 0, 1, 0, 1, 116, 0]));
  await eventually("SUBACK", () => stalled.bytes().byteLength >= 9);
  stalled.socket.pause();
  const [flood, one, two] = await Promise.all(
    ["flood", "one", "two"].map((id) => client(broker, id)),
  );
  assert.ok(flood && one && two);
  const payload = new Uint8Array(200 * 1024);
  let accepted = 0;
  const flooding = (async () => {
    for (let i = 0; i < 500; i++) {
      await flood.publish("t", payload, { qos: 0, retain: false });
      accepted = i + 1;
    }
  })().catch(() => {});
  await eventually("the limit", () => broker.stats().unroutedBytes > maxUnroutedBytes);
  let arrivals = 0;
  await two.subscribe("other", () => arrivals++);
  for (let i = 0; i < 50; i++)
    await one.publish("other", Uint8Array.of(i), { qos: 1, retain: false });
  await eventually("fifty messages elsewhere", () => arrivals === 50, 1000);
  assert.ok(accepted < 500, "the publisher was not slowed down");
  assert.ok(broker.stats().unroutedBytes < maxUnroutedBytes + 512 * 1024);
  stalled.socket.resume();
  await flooding;
  await eventually("everything routed", () => broker.stats().unroutedBytes === 0);
  assert.equal(accepted, 500);
  stalled.socket.destroy();
  await Promise.all([flood, one, two].map((transport) => transport.close()));
});

test("what a reader does not read is dropped beyond its own limit, and its publisher goes on", async (t) => {
  const broker = await brokerFor(t, { maxUnsentBytes: 1024 * 1024, drainTimeoutMs: 60_000 });
  const stalled = await raw(broker);
  stalled.socket.write(connectPacket("stalled"));
  stalled.socket.write(subscribePacket("t", 0));
  await eventually("SUBACK", () => stalled.bytes().byteLength >= 9);
  stalled.socket.pause();
  const [flood, reader] = [await client(broker, "flood"), await client(broker, "reader")];
  let arrivals = 0;
  await reader.subscribe("t", () => arrivals++);
  const payload = new Uint8Array(200 * 1024);
  for (let i = 0; i < 100; i++) {
    await flood.publish("t", payload, { qos: 0, retain: false });
    await eventually("the good reader has it", () => arrivals === i + 1, 30_000);
  }
  assert.ok((broker.stats().refused["slow-reader"] ?? 0) > 50);
  assert.ok(broker.stats().unroutedBytes < 8 * 1024 * 1024, `${broker.stats().unroutedBytes}`);
  stalled.socket.destroy();
  await Promise.all([flood.close(), reader.close()]);
});

test("a client above its rate is read more slowly, loses nothing, and holds up nobody", async (t) => {
  const broker = await brokerFor(t, { maxPacketsPerSecond: 200 });
  const [fast, other] = [await client(broker, "fast"), await client(broker, "other")];
  let arrivals = 0;
  await other.subscribe("fast", () => arrivals++);
  const startMs = performance.now();
  const sending = Promise.all(
    Array.from({ length: 600 }, () =>
      // Large enough that they cannot all be in one read.
      fast.publish("fast", new Uint8Array(4000), { qos: 1, retain: false }),
    ),
  );
  await eventually(
    "it is slowed down",
    () => broker.stats().refused["slowed-down"] !== undefined,
    30_000,
  );
  await other.publish("elsewhere", new Uint8Array(1), { qos: 1, retain: false });
  await sending;
  await eventually("all messages", () => arrivals === 600, 30_000);
  // Two seconds' worth at once, the other two hundred in one more second.
  assert.ok(performance.now() - startMs > 800, `${performance.now() - startMs} ms`);
  await Promise.all([fast.close(), other.close()]);
});

test("the queue of an absent session keeps the first messages up to its quota", async (t) => {
  const broker = await brokerFor(t, { maxOfflineMessages: 5 });
  const away = await client(broker, "away", false);
  await away.subscribe("t", () => {});
  await away.close();
  await eventually("the leave", () => broker.stats().clients === 0);
  const sender = await client(broker, "sender");
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20; i++)
      await sender.publish("t", Uint8Array.of(i), { qos: 1, retain: false });
    await eventually(
      "the drops",
      () => broker.stats().refused["offline-queue-full"] === 15 * (round + 1),
    );
    const back = await client(broker, "away", false);
    const got: number[] = [];
    await back.subscribe("t", (_, payload) => got.push(payload[0] ?? -1));
    await eventually("the queue", () => got.length === 5);
    assert.deepEqual(got, [0, 1, 2, 3, 4]);
    await back.close();
    await eventually("the leave", () => broker.stats().clients === 1);
  }
  await sender.close();
});

test("durable sessions are bounded, and one that ends makes room", async (t) => {
  const broker = await brokerFor(t, { maxSessions: 2 });
  for (const id of ["a", "b"]) await (await client(broker, id, false)).close();
  const third = await raw(broker);
  third.socket.write(connectPacket("c", false));
  await eventually("the refusal", () => third.closed());
  assert.deepEqual([...third.bytes()], [0x20, 2, 0, 3]);
  assert.equal(broker.stats().refused["too-many-sessions"], 1);
  await (await client(broker, "c")).close();
  await (await client(broker, "a", false)).close();
  await (await client(broker, "b")).close();
  await (await client(broker, "c", false)).close();
});

test("retained topics are bounded, and clearing one makes room", async (t) => {
  const broker = await brokerFor(t, { maxRetainedTopics: 2 });
  const sender = await client(broker, "sender");
  const put = (topic: string, bytes: number) =>
    sender.publish(topic, new Uint8Array(bytes), { qos: 1, retain: true });
  for (const topic of ["r/a", "r/b", "r/c"]) await put(topic, 1);
  await put("r/a", 0);
  await put("r/d", 1);
  const got: string[] = [];
  await sender.subscribe("r/+", (topic) => got.push(topic));
  await eventually("the retained messages", () => got.length === 2);
  assert.deepEqual(got.sort(), ["r/b", "r/d"]);
  assert.equal(broker.stats().refused["retained-full"], 1);
  await sender.close();
});

test("mutated packets neither end the broker nor disturb a good client", async (t) => {
  const broker = await brokerFor(t, { connectsPerSecond: 10_000 });
  const good = await client(broker, "good");
  let arrivals = 0;
  await good.subscribe("alive", () => arrivals++);
  const rng = Rng.fromSeed("mutants");
  const seeds = [
    connectPacket("victim"),
    Buffer.concat([connectPacket("__proto__"), publishPacket("a/b", Buffer.from("x"), 2)]),
    Buffer.concat([connectPacket("constructor"), Buffer.from([0x82, 6, 0, 1, 0, 1, 35, 1])]),
    Buffer.concat([connectPacket("deep"), publishPacket("a/".repeat(50), Buffer.from("x"), 0)]),
  ];
  for (let i = 0; i < 300; i++) {
    const mutant = Buffer.from(rng.pick(seeds));
    for (let m = 0; m < 1 + rng.int(4); m++) mutant[rng.int(mutant.byteLength)] = rng.int(256);
    const { socket } = await raw(broker);
    socket.end(mutant);
  }
  for (let i = 0; i < 20; i++)
    await good.publish("alive", Uint8Array.of(i), { qos: 1, retain: false });
  await eventually("the good client's messages", () => arrivals === 20);
  await eventually("the mutants' leave", () => broker.stats().connections === 1, 8000);
  await good.close();
});
