/** Figures of fast links: one device that takes much, and many that share. */
import { join } from "node:path";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { deviceEnd, withFolder } from "./ends.ts";
import type { End } from "./ends.ts";
import { MIB, rounded } from "./figure.ts";
import type { Figure, Length, Outcome } from "./figure.ts";
import { startBrokerProcess, startHub } from "./processes.ts";

const MIN_MB_PER_SECOND = 100;
const MIN_FAIRNESS = 0.95;

/** Seconds that each of `numDevices` takes for one blob, and all of them together, everything synced to disk. */
async function pulls(
  numDevices: number,
  sizeBytes: number,
): Promise<{ seconds: number[]; wholeSeconds: number }> {
  return withFolder(async (folder) => {
    const broker = await startBrokerProcess();
    const hub = await startHub(broker.port, join(folder, "hub"), sizeBytes);
    const ends: End[] = [];
    try {
      for (let i = 0; i < numDevices; i++) {
        const store = await DiskBlobStore.at(join(folder, `d${i}`));
        ends.push(await deviceEnd(broker.port, `d${i}`, store));
      }
      const startMs = performance.now();
      const since = (): number => (performance.now() - startMs) / 1000;
      const seconds = await Promise.all(
        ends.map(async ({ plane }, i) => {
          await plane.pull({ device: `d${i}`, blob: hub.blob, maxBytes: sizeBytes });
          return since();
        }),
      );
      return { seconds, wholeSeconds: since() };
    } finally {
      await Promise.all(ends.map((end) => end.close()));
      await hub.child.kill();
      await broker.child.kill();
    }
  });
}

async function measureOne({ isShort }: Length): Promise<Outcome> {
  const sizeBytes = (isShort ? 16 : 200) * MIB;
  const { wholeSeconds } = await pulls(1, sizeBytes);
  const megabytesPerSecond = sizeBytes / 1e6 / wholeSeconds;
  return {
    ok: isShort || megabytesPerSecond >= MIN_MB_PER_SECOND,
    shown: `${megabytesPerSecond.toFixed(0)} MB/s`,
    values: {
      sizeBytes,
      seconds: rounded(wholeSeconds),
      megabytesPerSecond: rounded(megabytesPerSecond),
    },
  };
}

async function measureMany({ isShort }: Length): Promise<Outcome> {
  const numDevices = isShort ? 20 : 200;
  const sizeBytes = 2 * MIB;
  const { seconds, wholeSeconds } = await pulls(numDevices, sizeBytes);
  const megabytesPerSecond = (numDevices * sizeBytes) / 1e6 / wholeSeconds;
  const fairness = jain(seconds.map((taken) => sizeBytes / taken));
  return {
    ok: isShort || (megabytesPerSecond >= MIN_MB_PER_SECOND && fairness >= MIN_FAIRNESS),
    shown: `${megabytesPerSecond.toFixed(0)} MB/s, fairness ${fairness.toFixed(3)}`,
    values: {
      numDevices,
      sizeBytes,
      seconds: rounded(wholeSeconds),
      megabytesPerSecond: rounded(megabytesPerSecond),
      fairness: rounded(fairness),
    },
  };
}

/** Jain, Chiu & Hawe, "A Quantitative Measure of Fairness", 1984: 1 when all rates are equal, 1/n when one has all. */
function jain(rates: readonly number[]): number {
  const sum = rates.reduce((total, rate) => total + rate, 0);
  const squares = rates.reduce((total, rate) => total + rate * rate, 0);
  return (sum * sum) / (rates.length * squares);
}

export const throughput: readonly Figure[] = [
  {
    name: "one-device",
    aim: `200 MiB over loopback, verified and synced: >= ${MIN_MB_PER_SECOND} MB/s`,
    measure: measureOne,
  },
  {
    name: "many-devices",
    aim: `200 devices x 2 MiB: >= ${MIN_MB_PER_SECOND} MB/s together, Jain >= ${MIN_FAIRNESS}`,
    measure: measureMany,
  },
];
