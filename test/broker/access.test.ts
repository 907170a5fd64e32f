/** Who gets in by TLS certificate or token, and what each identity may do: tried on the broker itself. */
import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startBroker } from "../../broker/src/broker.ts";
import { BrokerConfigError } from "../../broker/src/config.ts";
import { TransportError } from "../../src/base/errors.ts";
import { deviceChannels, fleetTopics } from "../../src/protocol/topics.ts";
import { fingerprintOf, issueCertificate } from "../../src/security/certificates.ts";
import { newKeyPair, pemOf } from "../../src/security/keys.ts";
import type { Transport, TransportFactory } from "../../src/transport/transport.ts";
import { eventually } from "../support/eventually.ts";
import { TestFleet, access } from "../support/fleet-folder.ts";

const topics = fleetTopics("plant");
const LIMITS = { clean: true, keepaliveSeconds: 30, giveUpAfterMs: 3000 };

function open(factory: TransportFactory, clientId: string): Promise<Transport> {
  return factory.connect({ ...LIMITS, clientId });
}

async function refused(factory: TransportFactory, clientId: string, why: RegExp): Promise<void> {
  await assert.rejects(open(factory, clientId), (error) => {
    assert.ok(error instanceof TransportError, String(error));
    assert.match(error.message, why);
    return true;
  });
}

/** True when a message on the topic gets through to the coordinator's side or is refused without one. */
async function mayPublish(transport: Transport, topic: string, retain = false): Promise<boolean> {
  try {
    await transport.publish(topic, Uint8Array.of(1), { qos: 1, retain });
    return true;
  } catch (error) {
    assert.ok(error instanceof TransportError, String(error));
    await eventually("the connection is back", () => transport.state === "connected");
    return false;
  }
}

async function maySubscribe(transport: Transport, filter: string): Promise<boolean> {
  try {
    await transport.subscribe(filter, () => undefined);
    await transport.unsubscribe(filter);
    return true;
  } catch (error) {
    assert.ok(error instanceof TransportError, String(error));
    assert.match(error.message, /refuses/);
    return false;
  }
}

test("a device may do on its own topics what its role lists, and nothing on any other", async (t) => {
  const fleet = new TestFleet(t);
  const [a] = [fleet.enrolled("a"), fleet.enrolled("b")];
  const broker = await fleet.broker(t);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const device = await open(access(url, { tls: a.tls }), "a");
  const [own, other] = [topics.device("a"), topics.device("b")];
  const sends = ["evt", "st", "get", "put"];
  for (const channel of deviceChannels) {
    const mine = own[channel];
    assert.equal(await mayPublish(device, mine), sends.includes(channel), `publish ${channel}`);
    const hears = !sends.includes(channel);
    assert.equal(await maySubscribe(device, mine), hears, `subscribe ${channel}`);
    assert.equal(await mayPublish(device, mine, true), channel === "st", `retain ${channel}`);
    assert.equal(await mayPublish(device, other[channel]), false, `publish on b's ${channel}`);
    assert.equal(await maySubscribe(device, other[channel]), false, `subscribe b's ${channel}`);
    assert.equal(await maySubscribe(device, topics.everyDevice(channel)), false, `all ${channel}`);
  }
  assert.equal(await maySubscribe(device, topics.epoch), true);
  assert.equal(await mayPublish(device, topics.epoch), false);
  const wild = ["#", "+", "$SYS/#", "+/+/+/+/+/+", `${own.cmd}/#`, own.cmd.replace("cmd", "+")];
  for (const filter of wild) assert.equal(await maySubscribe(device, filter), false, filter);
  const foreign = fleetTopics("elsewhere").device("a");
  assert.equal(await maySubscribe(device, foreign.cmd), false);
  for (const topic of ["$SYS/x", foreign.evt, `${own.evt}/x`, "a/".repeat(12)]) {
    assert.equal(await mayPublish(device, topic), false, topic);
  }
  await device.close();
});

test("the coordinator hears all devices, speaks to all, and may not speak for one", async (t) => {
  const fleet = new TestFleet(t);
  const broker = await fleet.broker(t);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const coordinator = await open(access(url, { tls: fleet.coordinatorTls }), "plant.coordinator.1");
  for (const channel of deviceChannels) {
    const topic = topics.device("a")[channel];
    const sends = ["cmd", "blk", "ask"].includes(channel);
    assert.equal(await mayPublish(coordinator, topic), sends, channel);
    assert.equal(await maySubscribe(coordinator, topics.everyDevice(channel)), !sends, channel);
  }
  assert.equal(await mayPublish(coordinator, topics.epoch, true), true);
  assert.equal(await mayPublish(coordinator, topics.device("a").cmd, true), false);
  for (const filter of ["#", "$SYS/#", topics.everyDevice("evt").replace("plant", "+")]) {
    assert.equal(await maySubscribe(coordinator, filter), false, filter);
  }
  await coordinator.close();
  const pretender = access(url, { tls: fleet.enrolled("a").tls });
  await refused(pretender, "plant.coordinator.2", /Identifier rejected/);
});

test("a client id belongs to its identity, so nobody can displace another", async (t) => {
  const fleet = new TestFleet(t);
  const [a, b] = [fleet.enrolled("a"), fleet.enrolled("b")];
  const broker = await fleet.broker(t);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const victim = await open(access(url, { tls: a.tls }), "a");
  const data = await open(access(url, { tls: a.tls }), "a.data");
  for (const id of ["a", "a.data", "b.other", "b.data.data", "B"]) {
    await refused(access(url, { tls: b.tls }), id, /Identifier rejected/);
  }
  assert.deepEqual([victim.state, data.state], ["connected", "connected"]);
  await Promise.all([victim.close(), data.close()]);
});

test("only a listed certificate of the fleet's authority gets in", async (t) => {
  const fleet = new TestFleet(t);
  const broker = await fleet.broker(t);
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const { tls } = fleet.enrolled("a");
  const keys = newKeyPair("tls");
  const forged = (issuer: Parameters<typeof issueCertificate>[1], nowMs = Date.now()): string =>
    issueCertificate(
      { commonName: "a", publicKey: keys.publicKey, use: "client", validDays: 1, nowMs },
      issuer,
    );
  const key = pemOf(keys.privateKey);
  const rogue = { commonName: "plant authority", keys: newKeyPair("tls") };
  // Of another authority with the same name; of the right one but never entered; and run out.
  for (const cert of [
    forged(rogue),
    forged(fleet.folder.issuer()),
    forged(fleet.folder.issuer(), Date.now() - 10 * 86_400_000),
  ]) {
    await refused(access(url, { tls: { ...tls, cert, key } }), "a", /user name|password/i);
  }
  await refused(access(url, { tls: { ca: tls.ca } }), "a", /password/i);
  await refused(access(url, { tls, username: "b" }), "a", /password/i);
  // A listed fingerprint under another authority's signature is still not the fleet's.
  const stranger = forged(rogue);
  const path = join(fleet.folder.identitiesFolder, "a.json");
  const entry = { ...fleet.folder.register.find("a"), certificates: [fingerprintOf(stranger)] };
  writeFileSync(path, JSON.stringify(entry));
  await refused(access(url, { tls: { ...tls, cert: stranger, key } }), "a", /password/i);
});

test("a device without a certificate needs its token, which is kept as a hash only", async (t) => {
  const fleet = new TestFleet(t);
  fleet.enrolled("a");
  fleet.enrolled("b");
  const token = fleet.folder.register.issueToken("a", Date.now());
  const kept = JSON.stringify(fleet.folder.register.find("a"));
  assert.ok(!kept.includes(token));
  const broker = await fleet.broker(t, { wsPort: 0 });
  const { ca } = fleet.coordinatorTls;
  for (const url of [`mqtts://127.0.0.1:${broker.port}`, `wss://127.0.0.1:${broker.wsPort}`]) {
    const device = await open(
      access(url, { tls: { ca }, username: "a", password: token }),
      "a.data",
    );
    await device.close();
    for (const [username, password] of [
      ["a", `${token}x`],
      ["a", ""],
      ["b", token],
      ["b", "0".repeat(64)],
      ["coordinator", token],
      ["../identities/a", token],
      ["__proto__", token],
    ] as const) {
      await refused(access(url, { tls: { ca }, username, password }), username, /password/i);
    }
  }
  const second = fleet.folder.register.issueToken("a", Date.now());
  const url = `mqtts://127.0.0.1:${broker.port}`;
  await refused(access(url, { tls: { ca }, username: "a", password: token }), "a", /password/i);
  await (await open(access(url, { tls: { ca }, username: "a", password: second }), "a")).close();
});

test("a certificate works over wss as well", async (t) => {
  const fleet = new TestFleet(t);
  const { tls } = fleet.enrolled("a");
  const broker = await fleet.broker(t, { wsPort: 0 });
  const device = await open(access(`wss://127.0.0.1:${broker.wsPort}`, { tls }), "a");
  assert.equal(await mayPublish(device, topics.device("a").evt), true);
  assert.equal(await mayPublish(device, topics.device("b").evt), false);
  await device.close();
});

test("a revoked device loses its live connections at once, its will is published, and it stays out", async (t) => {
  const fleet = new TestFleet(t);
  const [a, b] = [fleet.enrolled("a"), fleet.enrolled("b")];
  const broker = await fleet.broker(t, { accessCheckMs: 50 });
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const watcher = await open(access(url, { tls: fleet.coordinatorTls }), "plant.coordinator.1");
  const heard: string[] = [];
  await watcher.subscribe(topics.everyDevice("st"), (topic) => heard.push(topic));
  const will = { topic: topics.device("a").st, payload: Uint8Array.of(0), qos: 1, retain: true };
  const live = [
    await access(url, { tls: a.tls }).connect({
      ...LIMITS,
      clientId: "a",
      will: { ...will, qos: 1 },
    }),
    await open(access(url, { tls: a.tls }), "a.data"),
  ];
  const other = await open(access(url, { tls: b.tls }), "b");
  fleet.folder.register.revoke("a", Date.now());
  await eventually("both are cut off", () => live.every(({ state }) => state === "disconnected"));
  await eventually("its will", () => heard.includes(topics.device("a").st));
  assert.equal(broker.stats().refused["revoked"], 2);
  await refused(access(url, { tls: a.tls }), "a", /password/i);
  assert.equal(other.state, "connected");
  await Promise.all([...live, other, watcher].map((transport) => transport.close()));
});

test("an identity whose file goes away or is damaged is cut off as well", async (t) => {
  const fleet = new TestFleet(t);
  const [a, b] = [fleet.enrolled("a"), fleet.enrolled("b")];
  const broker = await fleet.broker(t, { accessCheckMs: 50 });
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const live = [
    await open(access(url, { tls: a.tls }), "a"),
    await open(access(url, { tls: b.tls }), "b"),
  ];
  const file = (id: string): string => join(fleet.folder.identitiesFolder, `${id}.json`);
  assert.ok(existsSync(file("a")));
  rmSync(file("a"));
  writeFileSync(file("b"), "{");
  await eventually("both are cut off", () => live.every(({ state }) => state === "disconnected"));
  await Promise.all(live.map((transport) => transport.close()));
});

test("beyond loopback it starts only with TLS and access, or when told to be insecure", async (t) => {
  const fleet = new TestFleet(t);
  const { tls, access: rights } = fleet.brokerSettings;
  assert.ok(tls !== undefined && rights !== undefined);
  for (const lacking of [{}, { tls }, { access: rights }]) {
    await assert.rejects(
      startBroker({ host: "0.0.0.0", port: 0, ...lacking }),
      (error) => error instanceof BrokerConfigError && error.message.includes("--insecure"),
    );
  }
  for (const settings of [fleet.brokerSettings, { insecure: true }, { host: "127.0.0.2" }]) {
    const broker = await startBroker({ host: "0.0.0.0", port: 0, ...settings });
    await broker.close();
  }
});
