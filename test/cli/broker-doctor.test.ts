/** What the broker doctor finds at our broker and at mosquitto, open, narrow and closed to strangers. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startBroker } from "../../broker/src/broker.ts";
import { systemClock } from "../../src/base/clock.ts";
import { TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { clockCheck } from "../../src/cli/broker-doctor/clock-check.ts";
import { examine } from "../../src/cli/broker-doctor/examine.ts";
import type { Finding, Level } from "../../src/cli/broker-doctor/finding.ts";
import { mosquittoAcl } from "../../src/cli/mosquitto-conf.ts";
import { MessageStamp } from "../../src/protocol/message-stamp.ts";
import { fleetTopics } from "../../src/protocol/topics.ts";
import { access, TestFleet, type TlsTexts } from "../support/fleet-folder.ts";
import { mosquittoAbsent, mosquittoPath, startMosquitto } from "../support/mosquitto.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ANSWER_MS = 2000;
const skip = mosquittoPath() === undefined ? mosquittoAbsent : false;

interface Way {
  readonly fleet?: string;
  readonly device?: string;
  readonly tls?: TlsTexts;
}

function contextOf(url: string, { fleet = "plant", device = "gate-7", tls }: Way = {}) {
  return {
    access: { url, answerMs: ANSWER_MS, clock: systemClock, ...(tls && { tls }) },
    ...{ fleet, device, isLoopback: true, isEncrypted: tls !== undefined },
    arrivalMs: 900,
  };
}

const ask = (url: string, way?: Way): Promise<Finding[]> => examine(contextOf(url, way));

function levelOf(findings: readonly Finding[], text: RegExp): Level | undefined {
  return findings.find((finding) => text.test(finding.text))?.level;
}

test("our broker on loopback is found usable, and open", async (t) => {
  const broker = await startBroker({ port: 0 });
  t.after(() => broker.close());
  const findings = await ask(`mqtt://127.0.0.1:${broker.port}`);
  assert.deepEqual(
    findings.filter(({ level }) => level === "problem"),
    [],
  );
  assert.equal(levelOf(findings, /^no MQTT 5/), "note");
  assert.equal(levelOf(findings, /^16 of 16 ranges/), "ok");
  assert.equal(levelOf(findings, /^retained messages are kept/), "ok");
  assert.equal(levelOf(findings, /^sessions are resumed with/), "ok");
  assert.equal(levelOf(findings, /may read what devices tell/), "warning");
  assert.equal(levelOf(findings, /^lets in clients without/), "note");
});

test("a clock behind the coordinator's is noticed", async (t) => {
  const broker = await startBroker({ port: 0 });
  t.after(() => broker.close());
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const coordinator = await access(url, {}).connect({
    clientId: "coordinator",
    clean: true,
    keepaliveSeconds: 30,
  });
  t.after(() => coordinator.close());
  for (const [aheadMs, level] of [
    [0, "ok"],
    [3_600_000, "warning"],
  ] as const) {
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
    const message = new MessageStamp(clock, Rng.fromSeed(1)).encode(
      { kind: "epoch", boot: "b", status: "here" },
      { device: "plant", epoch: 1, round: 0 },
    );
    await coordinator.publish(fleetTopics("plant").epoch, message, { qos: 1, retain: true });
    const findings = await clockCheck(contextOf(url));
    assert.deepEqual(
      findings.map((finding) => finding.level),
      [level],
    );
  }
});

test("where nothing answers the doctor says so", async () => {
  await assert.rejects(ask("mqtt://127.0.0.1:1"), TransportError);
});

test("mosquitto with the recommended settings is found usable", { skip }, async (t) => {
  const broker = await startMosquitto();
  t.after(() => broker.close());
  const findings = await ask(`mqtt://127.0.0.1:${broker.port}`);
  assert.equal(levelOf(findings, /^MQTT 5 as well/), "ok");
  assert.equal(levelOf(findings, /^packets up to 300/), "ok");
  assert.equal(levelOf(findings, /^messages of 262/), "ok");
  assert.deepEqual(
    findings.filter(({ level }) => level === "problem"),
    [],
  );
});

test("packets that are too small for a range are a problem with advice", { skip }, async (t) => {
  const broker = await startMosquitto(["max_packet_size 20000"]);
  t.after(() => broker.close());
  const problems = (await ask(`mqtt://127.0.0.1:${broker.port}`)).filter(
    ({ level }) => level === "problem",
  );
  assert.ok(problems.some(({ text }) => /do not arrive/.test(text)));
  for (const { advice } of problems) assert.match(advice ?? "", /allow packets of/);
});

test("the written access rules hold each identity to its own topics", { skip }, async (t) => {
  const fleet = new TestFleet(t);
  const folder = temporaryFolder(t);
  const aclFile = join(folder, "acl");
  writeFileSync(aclFile, mosquittoAcl("plant"));
  const broker = await startMosquitto([], { tls: fleet.folder.serverFiles, aclFile });
  t.after(() => broker.close());
  const url = `mqtts://127.0.0.1:${broker.port}`;
  const device = fleet.enrolled("gate-7");
  const findings = await ask(url, { tls: device.tls });
  assert.equal(levelOf(findings, /does not reach others$/), "ok");
  assert.equal(levelOf(findings, /^refuses clients without/), "ok");
  assert.equal(levelOf(findings, /^the certificate is valid for/), "ok");
  assert.equal(levelOf(findings, /another device's commands/), undefined);

  const connect = (clientId: string, tls: TlsTexts) =>
    access(url, { tls }).connect({ clientId, clean: true, keepaliveSeconds: 30 });
  const coordinator = await connect("plant.coordinator.1", fleet.coordinatorTls);
  const [own, other] = ["gate-7", "gate-8"].map((id) => fleetTopics("plant").device(id));
  const member = await connect("gate-7", device.tls);
  t.after(() => Promise.all([coordinator.close(), member.close()]));
  const heard: string[] = [];
  await coordinator.subscribe(fleetTopics("plant").everyDevice("evt"), (topic) => {
    heard.push(topic);
  });
  const payload = new TextEncoder().encode("x");
  const options = { qos: 1, retain: false } as const;
  await member.publish(other?.evt ?? "", payload, options);
  await member.publish(own?.evt ?? "", payload, options);
  const endMs = performance.now() + 3000;
  while (heard.length === 0 && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.deepEqual(heard, [own?.evt]);
});
