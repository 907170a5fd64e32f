/** Two brokers that share a Redis server act as one, for sessions, retained messages and a whole fleet. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BrokerConfigError, parseConfig } from "../../broker/src/config.ts";
import { eventually } from "../support/eventually.ts";
import { MqttSession } from "../support/mqtt-session.ts";
import { must } from "../support/must.ts";
import { NodeProcess } from "../support/node-process.ts";
import { redisAbsent, redisPath, startRedis } from "../support/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const skip = redisPath() === undefined ? redisAbsent : false;
/** Generous: the machine may be busy. */
const LIMIT_MS = 60_000;

async function twoBrokers(t: TestContext, folder: string): Promise<[number, number]> {
  const redis = await startRedis();
  t.after(() => redis.close());
  const config = join(folder, "broker.json");
  writeFileSync(config, JSON.stringify({ port: 0, redis: redis.url }));
  const start = async (): Promise<number> => {
    const broker = new NodeProcess<{ listening: { port: number } }>("broker/src/main.js", [
      "--config",
      config,
    ]);
    t.after(() => broker.kill());
    await eventually("a broker listens", () => broker.lines.length > 0, LIMIT_MS);
    return must(broker.lines[0]).listening.port;
  };
  return [await start(), await start()];
}

test("a session and what is retained move from one broker to the other", { skip }, async (t) => {
  const [one, two] = await twoBrokers(t, temporaryFolder(t));
  const durable = { clientId: "gw", clean: false, keepaliveSeconds: 30 };
  const sender = await MqttSession.open(two, { clientId: "s", keepaliveSeconds: 30 });
  const first = await MqttSession.open(one, durable);
  await first.subscribe(["to/gw", 1]);
  await sender.publish("to/gw", "live", 1);
  await eventually("what the other broker took", () => first.arrivals.length === 1);
  await first.close();
  await sender.publish("to/gw", "while away", 1);
  await sender.publish("state/s", "kept", 1, true);
  const back = await MqttSession.open(two, durable);
  assert.deepEqual(back.connack, [1, 0]);
  await eventually("the queue", () => back.arrivals.length === 1);
  assert.equal(back.arrivals[0]?.payload, "while away");
  const reader = await MqttSession.open(one, { clientId: "r", keepaliveSeconds: 30 });
  await reader.subscribe(["state/+", 1]);
  await eventually("what is retained", () => reader.arrivals.length === 1);
  assert.equal(reader.arrivals[0]?.payload, "kept");
  const rival = await MqttSession.open(one, durable);
  assert.deepEqual(rival.connack, [1, 0]);
  await eventually("the older connection of the id is ended", () => back.isClosed);
});

test("a fleet split between two brokers finishes its rounds", { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const urls = (await twoBrokers(t, folder)).map((port) => `mqtt://127.0.0.1:${port}`);
  mkdirSync(join(folder, "base"));
  writeFileSync(join(folder, "base", "model.safetensors"), Buffer.alloc(300_000, "weights"));
  const write = (name: string, settings: object): string => {
    writeFileSync(join(folder, name), JSON.stringify(settings));
    return join(folder, name);
  };
  const coordinator = new NodeProcess<{ summary: { ok: boolean; rounds: [string, number][] } }>(
    "test/support/coordinator-process.js",
    [
      write("coordinator.json", {
        broker: urls[0],
        runFolder: join(folder, "run"),
        base: join(folder, "base"),
        labels: ["no", "yes"],
        plan: { rank: 3, alpha: 6, steps: 4, targets: "all-linear" },
        rounds: 2,
        minDevices: 3,
        quorum: 1,
        heartbeatMs: 1000,
        roundTimeoutMs: 30_000,
        joinTimeoutMs: 30_000,
      }),
    ],
  );
  t.after(() => coordinator.kill());
  for (const [index, id] of ["a", "b", "c"].entries()) {
    const broker = urls[index === 0 ? 0 : 1];
    const settings = { id, broker, stateFolder: join(folder, id), data: "none" };
    const device = new NodeProcess("test/support/device-process.js", [
      write(`${id}.json`, settings),
      "20",
    ]);
    t.after(() => device.kill());
  }
  await eventually("the run ends", () => coordinator.lines.length > 0, LIMIT_MS);
  const { ok, rounds } = must(coordinator.lines[0]).summary;
  assert.equal(ok, true, coordinator.errors);
  assert.deepEqual(rounds.sort(), [
    ["a", 2],
    ["b", 2],
    ["c", 2],
  ]);
});

test("an address that is not Redis' is refused by name", () => {
  for (const redis of ["http://127.0.0.1", "redis://", "redis://host/name"]) {
    assert.throws(
      () => parseConfig({ redis }),
      (error) => error instanceof BrokerConfigError && error.message.includes("redis"),
    );
  }
});
