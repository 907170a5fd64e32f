/** What MQTT 3.1.1 asks of a server, the ten points that Eclipse's client tests look at and unsubscribing. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { STANDARD_SETTINGS, standardPolicy } from "../../bench/conformance/standard-policy.ts";
import { rawConnection } from "../../bench/hostile/mqtt-packets.ts";
import { startBroker } from "../../broker/src/broker.ts";
import { eventually } from "../support/eventually.ts";
import { MqttSession, connectBytes, type SessionOptions } from "../support/mqtt-session.ts";

type Open = (options: SessionOptions) => Promise<MqttSession>;

async function brokerFor(t: TestContext): Promise<{ port: number; open: Open }> {
  const broker = await startBroker({ port: 0, ...STANDARD_SETTINGS }, standardPolicy);
  t.after(() => broker.close());
  const { port } = broker;
  return { port, open: (options) => MqttSession.open(port, options) };
}

/** What arrived before a message that is published now, after everything else, has come back. */
async function settled(session: MqttSession): Promise<readonly (readonly [string, number])[]> {
  const before = session.arrivals.length;
  await session.subscribe(["settled", 0]);
  await session.publish("settled", "", 0);
  const isMark = ({ topic }: { readonly topic: string }): boolean => topic === "settled";
  await eventually("the mark", () => session.arrivals.slice(before).some(isMark));
  await session.unsubscribe("settled");
  return session.arrivals
    .filter((arrival) => !isMark(arrival))
    .map(({ payload, qos }) => [payload, qos] as const);
}

test("messages of all three qualities of service arrive", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  await client.subscribe(["TopicA", 2]);
  for (const qos of [0, 1, 2]) await client.publish("TopicA", `qos ${qos}`, qos);
  await eventually("three messages", () => client.arrivals.length === 3);
  assert.deepEqual(await settled(client), [
    ["qos 0", 0],
    ["qos 1", 1],
    ["qos 2", 2],
  ]);
});

test("a second CONNECT and another protocol's name end the connection", async (t) => {
  const { port, open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  client.send(connectBytes({ clientId: "a" }));
  await eventually("the end of the second", () => client.isClosed);
  const stranger = await rawConnection(port);
  stranger.socket.write(connectBytes({ clientId: "b" }, "hj"));
  await eventually("the end of the stranger", () => stranger.closed());
});

test("retained messages come to a new subscriber, and an empty one clears", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  const topics = ["TopicA/B", "Topic/C", "TopicA/C"];
  for (const [qos, topic] of topics.entries()) await client.publish(topic, `qos ${qos}`, qos, true);
  await client.subscribe(["+/+", 2]);
  await eventually("what was retained", () => client.arrivals.length === 3);
  assert.ok(client.arrivals.every(({ retain }) => retain));
  await client.close();
  const cleaner = await open({ clientId: "a" });
  for (const [qos, topic] of topics.entries()) await cleaner.publish(topic, "", qos, true);
  await cleaner.subscribe(["+/+", 2]);
  assert.deepEqual(await settled(cleaner), []);
});

test("messages wait for a durable session that is away", async (t) => {
  const { open } = await brokerFor(t);
  const durable = { clientId: "a", clean: false };
  const leaving = await open(durable);
  await leaving.subscribe(["+/+", 2]);
  await leaving.close();
  const sender = await open({ clientId: "b" });
  for (const qos of [0, 1, 2]) await sender.publish("TopicA/C", `qos ${qos}`, qos);
  const back = await open(durable);
  assert.deepEqual(back.connack, [1, 0]);
  await eventually("the queue", () => back.arrivals.filter(({ qos }) => qos > 0).length === 2);
  const queued = (await settled(back)).filter(([, qos]) => qos > 0);
  assert.deepEqual(queued, [
    ["qos 1", 1],
    ["qos 2", 2],
  ]);
});

test("a will is published when its client vanishes, and not when it leaves", async (t) => {
  const { open } = await brokerFor(t);
  const watcher = await open({ clientId: "b" });
  await watcher.subscribe(["Topic/C", 2]);
  const will = { topic: "Topic/C", payload: "gone" };
  await (await open({ clientId: "a", will })).close();
  assert.deepEqual(await settled(watcher), []);
  (await open({ clientId: "a", will })).destroy();
  await eventually("the will", () => watcher.arrivals.some(({ payload }) => payload === "gone"));
});

test("overlapping subscriptions get a message once at the highest quality, or once each", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  await client.subscribe(["TopicA/#", 2], ["TopicA/+", 1]);
  await client.publish("TopicA/C", "x", 2);
  await eventually("the message", () => client.arrivals.length > 0);
  const qualities = (await settled(client)).map(([, qos]) => qos).sort();
  assert.ok(["2", "1,2"].includes(qualities.join()), qualities.join());
});

test("a client that is silent for one and a half keepalives is ended, its will published", async (t) => {
  const { open } = await brokerFor(t);
  const watcher = await open({ clientId: "b" });
  await watcher.subscribe(["/TopicA", 2]);
  const will = { topic: "/TopicA", payload: "silent" };
  const silent = await open({ clientId: "a", keepaliveSeconds: 1, will });
  const openedMs = performance.now();
  await eventually("the will", () => watcher.arrivals.length === 1);
  assert.ok(performance.now() - openedMs > 1000);
  await eventually("the end", () => silent.isClosed);
  assert.equal(watcher.isClosed, false);
});

test("what was not acknowledged comes again on the next connection", async (t) => {
  const { open } = await brokerFor(t);
  const durable = { clientId: "b", clean: false };
  const deaf = await open(durable);
  await deaf.subscribe(["TopicA/#", 2]);
  deaf.isDeaf = true;
  const sender = await open({ clientId: "a" });
  await sender.publish("TopicA/B", "one", 1);
  await sender.publish("TopicA/C", "two", 2);
  deaf.destroy();
  assert.deepEqual(deaf.arrivals, []);
  const back = await open(durable);
  await eventually("both again", () => back.arrivals.length === 2);
  assert.deepEqual(await settled(back), [
    ["one", 1],
    ["two", 2],
  ]);
});

test("an empty client id is refused for a durable session and taken for a clean one", async (t) => {
  const { open } = await brokerFor(t);
  const durable = await open({ clientId: "", clean: false });
  assert.deepEqual(durable.connack, [0, 2]);
  await eventually("the end", () => durable.isClosed);
  const clean = await open({ clientId: "" });
  assert.deepEqual(clean.connack, [0, 0]);
});

test("a subscription that is not allowed gets the failure code, the others beside it theirs", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  await client.subscribe(["nosubscribe", 2], ["TopicA", 1]);
  assert.deepEqual(client.granted, [0x80, 1]);
});

test("a filter that begins with a wildcard matches no topic that begins with a dollar sign", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "b" });
  await client.subscribe(["+/+", 2], ["#", 1]);
  await client.publish("$TopicA/B", "hidden", 1);
  const payloads = (await settled(client)).map(([payload]) => payload);
  assert.ok(!payloads.includes("hidden"));
});

test("nothing arrives after an unsubscription", async (t) => {
  const { open } = await brokerFor(t);
  const client = await open({ clientId: "a" });
  await client.subscribe(["TopicA", 1]);
  await client.publish("TopicA", "before", 1);
  await eventually("the message", () => client.arrivals.length === 1);
  await client.unsubscribe("TopicA");
  await client.publish("TopicA", "after", 1);
  assert.deepEqual(await settled(client), [["before", 1]]);
});
