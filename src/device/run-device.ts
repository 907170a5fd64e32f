/** Puts a device agent together and runs it until its run ends or it is told to stop. */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { dataClientId, fleetTopics } from "../protocol/topics.ts";
import type { MessageSeal } from "../security/sealed-transport.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { createDeviceDataPlane } from "../transfer/data-plane.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import { Link } from "../transport/link.ts";
import { connectPair } from "../transport/connection-pair.ts";
import type { TransportFactory } from "../transport/transport.ts";
import { Agent, type AgentEvent } from "./agent.ts";
import type { FinishedWork } from "./agent-machine.ts";
import { BaseCache, type Bases } from "./base-cache.ts";
import type { DeviceConfig } from "./config.ts";
import { type AgentMemory, DeviceMemory, randomName } from "./device-memory.ts";
import type { LocalTrainer } from "./local-trainer.ts";
import { Presence } from "./presence.ts";
import { Workshop } from "./workshop.ts";

export interface DeviceDeps {
  /** Opens connections to the broker of the settings. */
  readonly factory: TransportFactory;
  /** Seals control messages and checks those of the coordinator; absent: everybody whom the broker lets in is believed. */
  readonly seal?: MessageSeal;
  readonly clock: Clock;
  /** Seeded by chance in a real device: it names the process start. */
  readonly rng: Rng;
  /** Made for the device's id, which may have been drawn just now. */
  readonly createTrainer: (deviceId: string) => LocalTrainer;
  readonly machine: { readonly cores: number; readonly memoryBytes: number };
  readonly onEvent: (event: AgentEvent) => void;
  /** Where blobs are kept; a folder in the state folder by default. */
  readonly store?: BlobStore;
  /** Where base models are laid out; a folder in the state folder by default. */
  readonly bases?: Bases;
  /** What survives a restart; files in the state folder by default. */
  readonly memory?: AgentMemory;
  readonly signal?: AbortSignal;
}

/** Resolves with the reason for the end. Rejects with TransportError when the broker cannot be reached at the start. */
export async function runDevice(config: DeviceConfig, deps: DeviceDeps): Promise<string> {
  const { clock, rng, signal } = deps;
  const memory = deps.memory ?? new DeviceMemory(config.stateFolder);
  const device = memory.identity(config.id, rng.fork("identity"));
  const topics = fleetTopics(config.fleet);
  const own = topics.device(device);
  const presence = new Presence(own, randomName(rng.fork("boot"), 16), clock, rng.fork("presence"));
  const { link } = config;
  const linked =
    link === undefined ? deps.factory : new Link({ clock, ...link }).wrap(deps.factory);
  const factory =
    deps.seal === undefined
      ? linked
      : deps.seal.wrap(linked, ({ reason, detail }) =>
          deps.onEvent({ kind: "message-dropped", reason, detail }),
        );
  const connections = await connectPair(factory, {
    controlId: device,
    dataId: dataClientId(device),
    will: presence.will(),
    clean: true,
    keepaliveSeconds: config.keepaliveSeconds,
    giveUpAfterMs: config.connectTimeoutMs,
  });
  const closers: (() => Promise<void>)[] = [() => connections.close()];
  try {
    const { store, bases } = await openStores(config, deps);
    let offeredRoot = (): string | undefined => undefined;
    const plane = await createDeviceDataPlane({
      transport: connections.data,
      topics: own,
      store,
      clock,
      rng: rng.fork("transfers"),
      mayRead: (_, root) => root === offeredRoot(),
    });
    closers.unshift(() => plane.close());
    const { maxBaseBytes, maxAdapterBytes, speed, staysAfterRun } = config;
    const workshop = new Workshop({
      device,
      clock,
      store,
      plane,
      bases,
      maxBaseBytes,
      maxAdapterBytes,
      speed,
      trainer: deps.createTrainer(device),
      onProgress: (round, progress) => deps.onEvent({ kind: "step", round, ...progress }),
    });
    const agent = new Agent({
      topics,
      device,
      presence,
      staysAfterRun,
      clock,
      store,
      memory,
      finished: await deliverable(memory, store),
      workshop,
      capabilities: { kind: config.type, ...deps.machine, baseDtype: config.baseDtype },
      rng: rng.fork("control"),
      onEvent: deps.onEvent,
    });
    offeredRoot = () => agent.offeredRoot;
    const stop = (): void => void agent.stop("stopped");
    signal?.addEventListener("abort", stop, { once: true });
    closers.unshift(async () => signal?.removeEventListener("abort", stop));
    await agent.open(connections.control);
    if (signal?.aborted === true) stop();
    return await agent.ended;
  } finally {
    for (const close of closers) await close();
  }
}

/** Finished work whose update is still here; without it the record is of no use. */
async function deliverable(memory: AgentMemory, store: BlobStore): Promise<FinishedWork | null> {
  const finished = memory.recall();
  if (finished === null || (await store.has(finished.blob.root))) return finished;
  memory.forget();
  return null;
}

async function openStores(
  { stateFolder, maxBaseBytes: maxBytes }: DeviceConfig,
  deps: DeviceDeps,
): Promise<{ store: BlobStore; bases: Bases }> {
  const disk = deps.store === undefined ? await DiskBlobStore.at(join(stateFolder, "blobs")) : null;
  const store = deps.store ?? (disk as BlobStore);
  if (deps.bases !== undefined) return { store, bases: deps.bases };
  const folder = join(stateFolder, "bases");
  const pathOf = disk === null ? null : (root: string): string => disk.pathOf(root);
  return { store, bases: new BaseCache({ folder, store, pathOf, maxBytes }) };
}
