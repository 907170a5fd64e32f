/** Puts a device agent together and runs it until its run ends or it is told to stop. */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { dataClientId, fleetTopics } from "../protocol/topics.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { createDeviceDataPlane } from "../transfer/data-plane.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import { Link } from "../transport/link.ts";
import type { TransportFactory } from "../transport/transport.ts";
import { Agent, type AgentEvent } from "./agent.ts";
import { BaseCache } from "./base-cache.ts";
import type { DeviceConfig } from "./config.ts";
import { DeviceMemory, randomName } from "./device-memory.ts";
import type { LocalTrainer } from "./local-trainer.ts";
import { Workshop } from "./workshop.ts";

export interface DeviceDeps {
  /** Opens connections to the broker of the settings. */
  readonly factory: TransportFactory;
  readonly clock: Clock;
  /** Seeded by chance in a real device: it names the process start. */
  readonly rng: Rng;
  /** Made for the device's id, which may have been drawn just now. */
  readonly createTrainer: (deviceId: string) => LocalTrainer;
  readonly machine: { readonly cores: number; readonly memoryBytes: number };
  readonly onEvent: (event: AgentEvent) => void;
  /** Where blobs are kept; a folder in the state folder by default. */
  readonly store?: BlobStore;
  readonly signal?: AbortSignal;
}

/** Resolves with the reason for the end. Rejects with TransportError when the broker cannot be reached at the start. */
export async function runDevice(config: DeviceConfig, deps: DeviceDeps): Promise<string> {
  const { clock, rng } = deps;
  const memory = new DeviceMemory(config.stateFolder);
  const device = memory.identity(config.id, rng.fork("identity"));
  const topics = fleetTopics(config.fleet);
  const disk =
    deps.store === undefined ? await DiskBlobStore.at(join(config.stateFolder, "blobs")) : null;
  const store = disk ?? (deps.store as BlobStore);
  const { link, maxBaseBytes, maxAdapterBytes, speed, staysAfterRun } = config;
  const factory =
    link === undefined ? deps.factory : new Link({ clock, ...link }).wrap(deps.factory);
  const connection = {
    clean: true,
    keepaliveSeconds: config.keepaliveSeconds,
    giveUpAfterMs: config.connectTimeoutMs,
  };
  const data = await factory.connect({ ...connection, clientId: dataClientId(device) });
  let offeredRoot = (): string | undefined => undefined;
  const plane = await createDeviceDataPlane({
    ...{ transport: data, topics: topics.device(device), store, clock },
    rng: rng.fork("transfers"),
    mayRead: (_, root) => root === offeredRoot(),
  });
  const bases = new BaseCache({
    folder: join(config.stateFolder, "bases"),
    store,
    pathOf: disk === null ? null : (root) => disk.pathOf(root),
    maxBytes: maxBaseBytes,
  });
  const trainer = deps.createTrainer(device);
  const workshop = new Workshop({
    device,
    clock,
    store,
    plane,
    bases,
    trainer,
    maxBaseBytes,
    maxAdapterBytes,
    speed,
    onProgress: (round, progress) => deps.onEvent({ kind: "step", round, ...progress }),
  });
  const agent = new Agent({
    ...{ topics, device, staysAfterRun, clock, store, memory, workshop },
    boot: randomName(rng.fork("boot"), 16),
    capabilities: { kind: config.type, ...deps.machine },
    rng: rng.fork("control"),
    onEvent: deps.onEvent,
  });
  offeredRoot = () => agent.offeredRoot;
  const control = await factory.connect({ ...connection, clientId: device, will: agent.will() });
  const stop = (): void => void agent.stop("stopped");
  deps.signal?.addEventListener("abort", stop, { once: true });
  try {
    await agent.open(control);
    if (deps.signal?.aborted === true) stop();
    return await agent.ended;
  } finally {
    deps.signal?.removeEventListener("abort", stop);
    await plane.close();
    await Promise.all([data.close(), control.close()]);
  }
}
