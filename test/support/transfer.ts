/** Two data planes over the in-process broker, and what tests of transfers share. */
import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";
import { ManualClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { fleetTopics } from "../../src/protocol/topics.ts";
import type { BlobStore } from "../../src/transfer/blob-store.ts";
import {
  createCoordinatorDataPlane,
  createDeviceDataPlane,
} from "../../src/transfer/data-plane.ts";
import type { DataPlane } from "../../src/transfer/data-plane.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";
import type { MemoryFaults } from "../../src/transport/memory.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";

export interface TransferPair {
  readonly clock: ManualClock;
  readonly broker: MemoryBroker;
  readonly coordinator: DataPlane;
  readonly device: DataPlane;
  readonly coordinatorStore: BlobStore;
  readonly deviceStore: BlobStore;
}

export interface PairOptions {
  readonly seed?: number;
  readonly faults?: Partial<MemoryFaults>;
  readonly deviceStore?: BlobStore;
  readonly mayRead?: (device: string, root: string) => boolean;
  readonly idleTimeoutMs?: number;
  /** Puts a link between the device and the broker. */
  readonly shape?: (clock: ManualClock, factory: TransportFactory) => TransportFactory;
}

/** Bytes that no two offsets share by accident. */
export function noise(sizeBytes: number, seed = 1): Uint8Array {
  const rng = Rng.fromSeed(`noise ${seed}`);
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = rng.nextUint32();
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** A coordinator and the device "gw" on one in-process broker with time that stands still. */
export async function transferPair(options: PairOptions = {}): Promise<TransferPair> {
  const clock = new ManualClock();
  const rng = Rng.fromSeed(options.seed ?? 1);
  const broker = new MemoryBroker({
    clock,
    rng: rng.fork("broker"),
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  });
  const topics = fleetTopics("test");
  const near = options.shape?.(clock, broker) ?? broker;
  const [there, here] = [
    await broker.connect({ clientId: "hub", clean: true, keepaliveSeconds: 30 }),
    await near.connect({ clientId: "gw.data", clean: true, keepaliveSeconds: 30 }),
  ];
  const coordinatorStore = new MemoryBlobStore();
  const deviceStore = options.deviceStore ?? new MemoryBlobStore();
  const common = {
    clock,
    rng: rng.fork("planes"),
    mayRead: options.mayRead ?? (() => true),
    idleTimeoutMs: options.idleTimeoutMs ?? 120_000,
  };
  const coordinator = await createCoordinatorDataPlane({
    ...common,
    transport: there,
    store: coordinatorStore,
    topics,
  });
  const device = await createDeviceDataPlane({
    ...common,
    transport: here,
    store: deviceStore,
    topics: topics.device("gw"),
  });
  return { clock, broker, coordinator, device, coordinatorStore, deviceStore };
}

/** Moves the clock on until `promise` settles. */
export async function settle<T>(clock: ManualClock, promise: Promise<T>, stepMs = 20): Promise<T> {
  return moveOn(clock, promise, stepMs, turn);
}

/** The same at the pace of real time, for stores whose disk has its own idea of it. */
export async function settleInRealTime<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  return moveOn(clock, promise, 2, () => pause(1));
}

async function moveOn<T>(
  clock: ManualClock,
  promise: Promise<T>,
  stepMs: number,
  yieldTurn: () => Promise<unknown>,
): Promise<T> {
  const state = { settled: false };
  const watched = promise.finally(() => (state.settled = true));
  watched.catch(() => {});
  while (!state.settled) {
    await yieldTurn();
    clock.advance(stepMs);
  }
  return watched;
}
