/** Transfers over real brokers: large blobs on disk, a slow link with a short keepalive, links that keep dropping. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startBroker } from "../../broker/src/broker.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { dataClientId, fleetTopics } from "../../src/protocol/topics.ts";
import {
  createCoordinatorDataPlane,
  createDeviceDataPlane,
} from "../../src/transfer/data-plane.ts";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { mosquittoAbsent, mosquittoPath, startMosquitto } from "../support/mosquitto.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { startThrottleProxy } from "../support/throttle-proxy.ts";
import type { ThrottleProxy } from "../support/throttle-proxy.ts";
import { noise } from "../support/transfer.ts";

const MIB = 1024 * 1024;
const topics = fleetTopics("test");

interface SetUp {
  readonly port: number;
  readonly keepaliveSeconds?: number;
  readonly limits?: { readonly upBytesPerSecond?: number; readonly downBytesPerSecond?: number };
}

function connect(port: number, clientId: string, keepaliveSeconds = 30): Promise<Transport> {
  return mqttTransportFactory({
    url: `mqtt://127.0.0.1:${port}`,
    clock: systemClock,
    rng: Rng.fromSeed(clientId),
    backoff: { firstMs: 20, maxMs: 100 },
  }).connect({ clientId, clean: true, keepaliveSeconds });
}

/** A coordinator at the broker and a device behind a proxy, both with stores on disk. */
async function setUp(t: TestContext, { port, keepaliveSeconds, limits }: SetUp) {
  const proxy: ThrottleProxy = await startThrottleProxy({ targetPort: port, ...limits });
  const hub = await connect(port, "hub");
  const gateway = await connect(proxy.port, dataClientId("gw"), keepaliveSeconds);
  const common = { clock: systemClock, rng: Rng.fromSeed("planes"), mayRead: () => true };
  const coordinatorStore = await DiskBlobStore.at(temporaryFolder(t));
  const deviceStore = await DiskBlobStore.at(temporaryFolder(t));
  const coordinator = await createCoordinatorDataPlane({
    ...common,
    transport: hub,
    store: coordinatorStore,
    topics,
  });
  const device = await createDeviceDataPlane({
    ...common,
    transport: gateway,
    store: deviceStore,
    topics: topics.device("gw"),
  });
  t.after(async () => {
    await Promise.all([coordinator.close(), device.close()]);
    await Promise.all([hub.close(), gateway.close()]);
    await proxy.close();
  });
  return { proxy, coordinator, device, coordinatorStore, deviceStore };
}

const brokers = [
  {
    name: "bundled broker",
    skip: false as const,
    start: () => startBroker({ port: 0 }),
  },
  {
    name: "mosquitto",
    skip: mosquittoPath() === undefined ? mosquittoAbsent : (false as const),
    start: () => startMosquitto(),
  },
];

for (const { name, skip, start } of brokers) {
  test(`${name}: 8 MiB arrive whole on disk in both directions`, { skip }, async (t) => {
    const broker = await start();
    t.after(() => broker.close());
    const pair = await setUp(t, { port: broker.port });
    const pull = { device: "gw", maxBytes: 16 * MIB };
    const down = noise(8 * MIB, 1);
    const downBlob = await pair.coordinatorStore.put(down);
    const downReport = await pair.device.pull({ ...pull, blob: downBlob });
    assert.ok(Buffer.from(await pair.deviceStore.readAll(downBlob.root)).equals(down));
    const up = noise(8 * MIB, 2);
    const upBlob = await pair.deviceStore.put(up);
    const upReport = await pair.coordinator.pull({ ...pull, blob: upBlob });
    assert.ok(Buffer.from(await pair.coordinatorStore.readAll(upBlob.root)).equals(up));
    assert.deepEqual([downReport.wastedBytes, upReport.wastedBytes], [0, 0]);
  });
}

test("blobs that take longer than the keepalive arrive without a reconnect, down and up at once", async (t) => {
  const broker = await startBroker({ port: 0 });
  t.after(() => broker.close());
  const pair = await setUp(t, {
    port: broker.port,
    keepaliveSeconds: 3,
    limits: { upBytesPerSecond: 100_000, downBytesPerSecond: 100_000 },
  });
  const pull = { device: "gw", maxBytes: MIB };
  const downBlob = await pair.coordinatorStore.put(noise(500_000, 1));
  const upBlob = await pair.deviceStore.put(noise(500_000, 2));
  await Promise.all([
    pair.device.pull({ ...pull, blob: downBlob }),
    pair.coordinator.pull({ ...pull, blob: upBlob }),
  ]);
  assert.equal(pair.proxy.connections, 1);
});

test("a link that drops again and again only delays a blob", async (t) => {
  const broker = await startBroker({ port: 0 });
  t.after(() => broker.close());
  const limits = { downBytesPerSecond: 4_000_000 };
  const pair = await setUp(t, { port: broker.port, limits });
  const content = noise(2 * MIB);
  const blob = await pair.coordinatorStore.put(content);
  let cuts = 0;
  const report = await pair.device.pull({
    device: "gw",
    blob,
    maxBytes: 4 * MIB,
    onProgress({ haveBytes }) {
      if (haveBytes < (cuts + 1) * 300_000) return;
      cuts += 1;
      pair.proxy.cut();
    },
  });
  assert.equal(pair.proxy.connections, 1 + cuts);
  assert.equal(cuts, 6);
  assert.ok(Buffer.from(await pair.deviceStore.readAll(blob.root)).equals(content));
  assert.ok(report.wastedBytes < content.byteLength / 20, `${report.wastedBytes} bytes twice`);
});
