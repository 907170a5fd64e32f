/** Figures of readers that do not keep up: what others notice of them, and what is held for them. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import { startThrottleProxy } from "../../test/support/throttle-proxy.ts";
import { connect, deviceEnd, topics, withFolder } from "./ends.ts";
import { MIB, percentile, rounded } from "./figure.ts";
import type { Figure, Length, Outcome } from "./figure.ts";
import { type Child, startBrokerProcess, startHub } from "./processes.ts";
import { StalledReader } from "./stalled-reader.ts";

const MAX_CONTROL_MS = 100;
const SLOW_BYTES_PER_SECOND = 16_000;
const BLOB_BYTES = 8 * MIB;
const MAX_HELD_BYTES = 160 * MIB;
const [AIMED_BYTES, AIMED_BYTES_SHORT] = [1024 * MIB, 32 * MIB];
const ASK_EVERY_MS = 20;
/** The last commands are waited for so long. */
const LATEST_MS = 5000;

interface Site {
  readonly port: number;
  readonly broker: Child;
  readonly hub: Child;
  readonly blob: BlobRef;
}

async function withHub<T>(work: (site: Site) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    const { port, child: broker } = await startBrokerProcess();
    const { child: hub, blob } = await startHub(port, join(folder, "hub"), BLOB_BYTES);
    try {
      return await work({ port, broker, hub, blob });
    } finally {
      await hub.kill();
      await broker.kill();
    }
  });
}

/** A device that asks the coordinator at a steady pace and notes when each answer comes. */
async function openProbe(port: number) {
  const transport = await connect(port, "probe");
  const { evt, cmd } = topics.device("probe");
  const delaysMs: number[] = [];
  let sent = 0;
  let servedBytes = 0;
  await transport.subscribe(cmd, (_, payload) => {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    servedBytes = view.getFloat64(0, true);
    delaysMs.push(performance.now() - view.getFloat64(8, true));
  });
  const asking = setInterval(() => {
    sent += 1;
    const nowBytes = Buffer.alloc(8);
    nowBytes.writeDoubleLE(performance.now());
    transport.publish(evt, nowBytes, { qos: 1, retain: false }).catch(() => undefined);
  }, ASK_EVERY_MS);
  return {
    servedBytes: () => servedBytes,
    /** Stops asking; resolves with the round trips once all answers are here or overdue. */
    async finish(): Promise<{ sent: number; delaysMs: number[] }> {
      clearInterval(asking);
      const endMs = performance.now() + LATEST_MS;
      while (delaysMs.length < sent && performance.now() < endMs) await pause(ASK_EVERY_MS);
      await transport.close();
      return { sent, delaysMs };
    },
  };
}

async function measureControl({ isShort }: Length): Promise<Outcome> {
  const [numSlow, seconds] = isShort ? [12, 2] : [120, 20];
  return withHub(async ({ port, blob }) => {
    const stalled = new StalledReader(port, blob);
    const proxy = await startThrottleProxy({
      targetPort: port,
      downBytesPerSecond: SLOW_BYTES_PER_SECOND,
    });
    const devices = Array.from({ length: numSlow }, (_, i) => `slow${i}`);
    const slow = await Promise.all(
      devices.map((device) => deviceEnd(proxy.port, device, new MemoryBlobStore())),
    );
    const pulling = slow.map(({ plane }, i) =>
      plane.pull({ device: `slow${i}`, blob, maxBytes: BLOB_BYTES }).catch(() => undefined),
    );
    const probe = await openProbe(port);
    await pause(1000 * seconds);
    const { sent, delaysMs } = await probe.finish();
    stalled.close();
    await Promise.all(slow.map((end) => end.close()));
    await Promise.all(pulling);
    await proxy.close();
    const p99Ms = percentile(delaysMs, 0.99);
    const deliveredShare = delaysMs.length / sent;
    return {
      ok: deliveredShare === 1 && (isShort || p99Ms < MAX_CONTROL_MS),
      shown: `p99 ${p99Ms.toFixed(1)} ms there and back, ${delaysMs.length} of ${sent} delivered`,
      values: {
        slowReaders: numSlow,
        sent,
        delivered: delaysMs.length,
        medianMs: rounded(percentile(delaysMs, 0.5)),
        p99Ms: rounded(p99Ms),
        slowBytesPerSecond: Math.round(proxy.bytesDown / seconds / numSlow),
      },
    };
  });
}

async function measureMemory({ isShort }: Length): Promise<Outcome> {
  const aimedBytes = isShort ? AIMED_BYTES_SHORT : AIMED_BYTES;
  return withHub(async ({ port, broker, hub, blob }) => {
    const [brokerStart, hubStart] = [broker.memory(), hub.memory()];
    const probe = await openProbe(port);
    const stalled = new StalledReader(port, blob);
    const startMs = performance.now();
    while (probe.servedBytes() < aimedBytes) await pause(ASK_EVERY_MS);
    const seconds = (performance.now() - startMs) / 1000;
    stalled.close();
    await probe.finish();
    const brokerBytes = broker.memory().peakBytes;
    const hubBytes = hub.memory().peakBytes;
    const mebibytes = (bytes: number): number => rounded(bytes / MIB);
    return {
      ok: isShort || brokerBytes + hubBytes < MAX_HELD_BYTES,
      shown: `${((brokerBytes + hubBytes) / MIB).toFixed(0)} MiB at most, both together`,
      values: {
        aimedBytes,
        seconds: rounded(seconds),
        brokerPeakMebibytes: mebibytes(brokerBytes),
        coordinatorPeakMebibytes: mebibytes(hubBytes),
        brokerStartMebibytes: mebibytes(brokerStart.nowBytes),
        coordinatorStartMebibytes: mebibytes(hubStart.nowBytes),
      },
    };
  });
}

export const slowReaders: readonly Figure[] = [
  {
    name: "control-latency",
    aim: `1 stalled and 120 slow (16 KB/s) readers: control p99 < ${MAX_CONTROL_MS} ms, all delivered`,
    measure: measureControl,
  },
  {
    name: "stalled-memory",
    aim: "1 GiB aimed at a stalled reader: broker and coordinator < 160 MiB together",
    measure: measureMemory,
  },
];
