/** The parties of a measured transfer: the coordinator's and the devices' ends of the data plane at one broker. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { dataClientId, fleetTopics } from "../../src/protocol/topics.ts";
import {
  createCoordinatorDataPlane,
  createDeviceDataPlane,
} from "../../src/transfer/data-plane.ts";
import type { DataPlane } from "../../src/transfer/data-plane.ts";
import type { BlobStore } from "../../src/transfer/blob-store.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { Transport } from "../../src/transport/transport.ts";

export const topics = fleetTopics("bench");

export interface End {
  readonly plane: DataPlane;
  readonly transport: Transport;
  close(): Promise<void>;
}

/** Bytes that do not repeat. */
export function noise(sizeBytes: number, seed: string): Uint8Array {
  const rng = Rng.fromSeed(seed);
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = rng.nextUint32();
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** Runs `work` with an empty folder that is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "fedspine-transport-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface LinkHabits {
  readonly keepaliveSeconds?: number;
  readonly firstBackoffMs?: number;
  readonly maxBackoffMs?: number;
}

/** A connection that repairs itself, with a back-off from 20 to 100 ms unless `habits` say otherwise. */
export function connect(
  port: number,
  clientId: string,
  habits: LinkHabits = {},
): Promise<Transport> {
  const { keepaliveSeconds = 30, firstBackoffMs = 20, maxBackoffMs = 100 } = habits;
  return mqttTransportFactory({
    url: `mqtt://127.0.0.1:${port}`,
    clock: systemClock,
    rng: Rng.fromSeed(clientId),
    backoff: { firstMs: firstBackoffMs, maxMs: maxBackoffMs },
  }).connect({ clientId, clean: true, keepaliveSeconds });
}

const common = (seed: string) => ({
  clock: systemClock,
  rng: Rng.fromSeed(seed),
  mayRead: () => true,
});

export async function coordinatorEnd(port: number, store: BlobStore): Promise<End> {
  const transport = await connect(port, "hub.data");
  const plane = await createCoordinatorDataPlane({ ...common("hub"), transport, store, topics });
  return endOf(transport, plane);
}

export async function deviceEnd(
  port: number,
  device: string,
  store: BlobStore,
  habits: LinkHabits = {},
): Promise<End> {
  const transport = await connect(port, dataClientId(device), habits);
  const plane = await createDeviceDataPlane({
    ...common(device),
    transport,
    store,
    topics: topics.device(device),
  });
  return endOf(transport, plane);
}

function endOf(transport: Transport, plane: DataPlane): End {
  const close = async (): Promise<void> => {
    await plane.close();
    await transport.close();
  };
  return { plane, transport, close };
}
