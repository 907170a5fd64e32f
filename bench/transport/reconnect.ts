/** Figures of a whole fleet: a broker that dies under it, and rounds with churn. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { connect, deviceEnd, topics, withFolder } from "./ends.ts";
import type { End } from "./ends.ts";
import { MIB, rounded } from "./figure.ts";
import type { Figure, Length, Outcome } from "./figure.ts";
import { startBrokerProcess, startHub } from "./processes.ts";

const MAX_SECONDS = 10;
const MAX_SLOPE_PER_HOUR = MIB;
/** As devices in the field: one second, doubled up to a minute, with full jitter. */
const HABITS = { firstBackoffMs: 1000, maxBackoffMs: 60_000 };
const BLOB_BYTES = 64 * 1024;
const CHURN_PER_MINUTE = 0.05;
const ROUND_MS = 2000;

/** Devices with both connections each; `answered` counts commands per device. */
class Fleet {
  readonly answered = new Set<string>();
  readonly #port: number;
  readonly #ends = new Map<string, { control: Transport; data: End; store: MemoryBlobStore }>();

  constructor(port: number) {
    this.#port = port;
  }

  get devices(): string[] {
    return [...this.#ends.keys()];
  }

  async join(device: string): Promise<void> {
    const store = new MemoryBlobStore();
    const data = await deviceEnd(this.#port, device, store, HABITS);
    const control = await connect(this.#port, device, HABITS);
    await control.subscribe(topics.device(device).cmd, () => this.answered.add(device));
    this.#ends.set(device, { control, data, store });
  }

  async leave(device: string): Promise<void> {
    const end = this.#ends.get(device);
    this.#ends.delete(device);
    await Promise.all([end?.control.close(), end?.data.close()]);
  }

  /** Every device that is connected on both connections says hello. */
  hello(): void {
    for (const [device, { control, data }] of this.#ends) {
      if (this.answered.has(device) || data.transport.state !== "connected") continue;
      const { evt } = topics.device(device);
      control.publish(evt, Uint8Array.of(1), { qos: 1, retain: false }).catch(() => undefined);
    }
  }

  /** Every device pulls the blob as if it were a new one. */
  async round(blob: BlobRef): Promise<void> {
    await Promise.all(
      [...this.#ends].map(async ([device, { data, store }]) => {
        await store.remove(blob.root);
        await data.plane.pull({ device, blob, maxBytes: BLOB_BYTES }).catch(() => undefined);
      }),
    );
  }
}

async function measure({ isShort, minutes }: Length): Promise<Outcome> {
  const numDevices = isShort ? 20 : 500;
  return withFolder(async (folder) => {
    const first = await startBrokerProcess();
    const { port } = first;
    const hub = await startHub(port, join(folder, "hub"), BLOB_BYTES);
    const fleet = new Fleet(port);
    for (let i = 0; i < numDevices; i++) await fleet.join(`d${i}`);
    await first.child.kill();
    const startMs = performance.now();
    const second = await startBrokerProcess(port);
    while (fleet.answered.size < numDevices) {
      fleet.hello();
      await pause(100);
    }
    const seconds = (performance.now() - startMs) / 1000;

    const rng = Rng.fromSeed("churn");
    const samples: { hours: number; bytes: number }[] = [];
    let serial = numDevices;
    const endMs = performance.now() + (isShort ? 0.1 : minutes) * 60_000;
    let leavingShare = 0;
    while (performance.now() < endMs) {
      const roundMs = performance.now();
      await fleet.round(hub.blob);
      leavingShare += (CHURN_PER_MINUTE * numDevices * ROUND_MS) / 60_000;
      for (; leavingShare >= 1; leavingShare -= 1) {
        const leaving = fleet.devices[Math.floor(rng.next() * fleet.devices.length)];
        if (leaving !== undefined) await fleet.leave(leaving);
        await fleet.join(`d${serial++}`);
      }
      await systemClock.sleep(Math.max(0, ROUND_MS - (performance.now() - roundMs)));
      const bytes = second.child.memory().nowBytes + hub.child.memory().nowBytes;
      samples.push({ hours: performance.now() / 3_600_000, bytes });
    }
    await Promise.all(fleet.devices.map((device) => fleet.leave(device)));
    await hub.child.kill();
    await second.child.kill();
    // The first half is warm-up: heaps grow to their working size.
    const slope = slopeOf(samples.slice(samples.length >> 1));
    return {
      ok: isShort || (seconds < MAX_SECONDS && slope < MAX_SLOPE_PER_HOUR),
      shown: `${seconds.toFixed(1)} s, ${(slope / MIB).toFixed(2)} MiB/h over ${samples.length} rounds`,
      values: {
        numDevices,
        reconnectSeconds: rounded(seconds),
        rounds: samples.length,
        joined: serial - numDevices,
        slopeMebibytesPerHour: rounded(slope / MIB),
        lastMebibytes: rounded((samples.at(-1)?.bytes ?? 0) / MIB),
      },
    };
  });
}

/** Bytes per hour, by least squares; 0 for fewer than two samples. */
function slopeOf(samples: readonly { hours: number; bytes: number }[]): number {
  const n = Math.max(1, samples.length);
  const meanHours = samples.reduce((sum, { hours }) => sum + hours, 0) / n;
  const meanBytes = samples.reduce((sum, { bytes }) => sum + bytes, 0) / n;
  const across = samples.reduce(
    (sum, { hours, bytes }) => sum + (hours - meanHours) * (bytes - meanBytes),
    0,
  );
  const along = samples.reduce((sum, { hours }) => sum + (hours - meanHours) ** 2, 0);
  return along === 0 ? 0 : across / along;
}

export const reconnects: readonly Figure[] = [
  {
    name: "reconnect",
    aim: `500 devices, broker killed: all answered in < ${MAX_SECONDS} s; rounds with 5 % churn a minute: < 1 MiB/h`,
    measure,
  },
];
