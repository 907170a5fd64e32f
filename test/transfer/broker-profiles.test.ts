/** A whole small run behind the limits of hosted brokers, and that the stand-ins for them do refuse what is beyond. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startBroker } from "../../broker/src/broker.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { runCoordinator } from "../../src/coordinator/run-coordinator.ts";
import { takeUnsynced } from "../../src/coordinator/run-journal.ts";
import { parseDeviceConfig } from "../../src/device/config.ts";
import { runDevice } from "../../src/device/run-device.ts";
import { LEAF_BYTES } from "../../src/protocol/manifest.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import { awsIotCore, emqx, startProfileProxy } from "../support/broker-profile.ts";
import { eventually } from "../support/eventually.ts";
import { FakeTrainer } from "../support/fake-trainer.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TOY_HEADS, TOY_SHAPE } from "../support/toy-shape.ts";
import { noise } from "../support/transfer.ts";

const profiles = [
  { name: "AWS IoT Core", profile: awsIotCore },
  { name: "EMQX", profile: emqx },
];

function factoryTo(port: number, seed: string): TransportFactory {
  return mqttTransportFactory({
    url: `mqtt://127.0.0.1:${port}`,
    clock: systemClock,
    rng: Rng.fromSeed(seed),
    backoff: { firstMs: 20, maxMs: 100 },
  });
}

for (const { name, profile } of profiles) {
  test(`${name}: a run with a base of 2 MiB stays within every limit`, async (t) => {
    const broker = await startBroker({ port: 0 });
    const proxy = await startProfileProxy(broker.port, profile);
    t.after(() => proxy.close().then(() => broker.close()));
    const folder = temporaryFolder(t);
    const base = join(folder, "base");
    mkdirSync(base);
    writeFileSync(join(base, "config.json"), "{}");
    writeFileSync(join(base, "model.safetensors"), noise(2 * 1024 * 1024));
    const coordinating = runCoordinator(
      parseCoordinatorConfig({
        ...{ runFolder: join(folder, "run"), base, labels: ["no", "yes"], rounds: 2 },
        ...{ heartbeatMs: 1000, minDevices: 1 },
        plan: { rank: 3, alpha: 6, steps: 2, targets: "all-linear" },
      }),
      {
        ...{ factory: factoryTo(proxy.port, "hub"), clock: systemClock, rng: Rng.fromSeed("hub") },
        ...{ shape: TOY_SHAPE, heads: TOY_HEADS, onEvent: () => undefined, resume: false },
        evaluate: () => Promise.resolve({ accuracy: 0.5, loss: 1, macroF1: 0.4 }),
        takeJournal: takeUnsynced,
      },
    );
    const data = join(folder, "data.jsonl");
    writeFileSync(data, "");
    const device = runDevice(
      parseDeviceConfig({ id: "gw", stateFolder: join(folder, "gw"), data }),
      {
        ...{ factory: factoryTo(proxy.port, "gw"), clock: systemClock, rng: Rng.fromSeed("gw") },
        createTrainer: (deviceId) => new FakeTrainer({ deviceId, clock: systemClock, stepMs: 1 }),
        machine: { cores: 1, memoryBytes: 1e9 },
        onEvent: () => undefined,
      },
    );
    const { ok, reason, devices } = await coordinating;
    assert.ok(ok, reason);
    assert.deepEqual(
      devices.map(({ id, rounds }) => [id, rounds]),
      [["gw", 2]],
    );
    await device;
    assert.deepEqual(proxy.refused, []);
    assert.ok(proxy.largestBytes > LEAF_BYTES, `${proxy.largestBytes} bytes: no full range passed`);
  });

  test(`the stand-in for ${name} ends the connection of who sends more than it takes`, async (t) => {
    const broker = await startBroker({ port: 0 });
    const proxy = await startProfileProxy(broker.port, profile);
    const client = await factoryTo(proxy.port, "greedy").connect({
      ...{ clientId: "greedy", clean: true, keepaliveSeconds: 30 },
    });
    t.after(() =>
      client
        .close()
        .then(() => proxy.close())
        .then(() => broker.close()),
    );
    const quiet = { qos: 0, retain: false } as const;
    await client.publish("a", new Uint8Array(profile.maxPacketBytes), quiet).catch(() => undefined);
    await eventually("a refusal", () => proxy.refused.length > 0);
    assert.match(proxy.refused[0] ?? "", /packet of more than/);
  });
}

test("the stand-in for AWS IoT Core refuses deep topics", async (t) => {
  const broker = await startBroker({ port: 0 });
  const proxy = await startProfileProxy(broker.port, awsIotCore);
  const options = { clientId: "deep", clean: true, keepaliveSeconds: 30 };
  const client = await factoryTo(proxy.port, "deep").connect(options);
  t.after(() =>
    client
      .close()
      .then(() => proxy.close())
      .then(() => broker.close()),
  );
  await client.publish("a/b/c/d/e/f/g/h/i", new Uint8Array(1), { qos: 0, retain: false });
  await eventually("a refusal", () => proxy.refused.length > 0);
  assert.deepEqual(proxy.refused, ["topic a/b/c/d/e/f/g/h/i"]);
});
