/** Puts a coordinator together, runs it to its end, and sums up. */
import type { Clock } from "../base/clock.ts";
import { ConfigError, ProtocolError } from "../base/errors.ts";
import type { AdapterState } from "../base/adapter.ts";
import type { ModelShape } from "../base/model-shape.ts";
import type { Rng } from "../base/rng.ts";
import { newMessageId } from "../protocol/envelope.ts";
import { MessageStamp } from "../protocol/message-stamp.ts";
import { fleetTopics } from "../protocol/topics.ts";
import type { Defect } from "../strategies/aggregation/update-check.ts";
import type { Controller } from "../strategies/controllers/controller.ts";
import { selectors } from "../strategies/selection/index.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { type DataPlane, createCoordinatorDataPlane } from "../transfer/data-plane.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import { type ConnectionPair, connectPair } from "../transport/connection-pair.ts";
import type { TransportFactory, Will } from "../transport/transport.ts";
import { type BaseFile, storeBaseFiles } from "./base-files.ts";
import type { CoordinatorConfig } from "./config.ts";
import { ControlChannel } from "./control-channel.ts";
import { Coordinator } from "./coordinator.ts";
import { Downlink } from "./downlink.ts";
import { FleetKnowledge } from "./fleet-knowledge.ts";
import { type Evaluate, GlobalModel } from "./global-model.ts";
import { Ledger } from "./ledger.ts";
import { planOf, scaleOf } from "./plan.ts";
import { Reception } from "./reception.ts";
import { type Profile, Roster } from "./roster.ts";
import type { RunEvent, RunSummary } from "./run-events.ts";
import { RunFolder, expectSameModel } from "./run-folder.ts";
import { Steering } from "./steering.ts";
import { aggregatorOf, controllerOf, ranksOf, serverRankOf } from "./strategy-config.ts";
import { DropTally, TrafficTally } from "./tallies.ts";
import { UpdateInbox } from "./update-inbox.ts";
import { type HeadShapes, UpdateLayout } from "./update-layout.ts";

export interface CoordinatorDeps {
  /** Opens connections to the broker of the settings. */
  readonly factory: TransportFactory;
  readonly clock: Clock;
  /** Seeded by chance, since it names messages, processes and runs; it decides nothing about the training. */
  readonly rng: Rng;
  /** null when there is nothing to score with. */
  readonly evaluate: Evaluate | null;
  /** Sizes of the base model as a classifier of the settings' labels. */
  readonly shape: ModelShape;
  /** The tensors of its head that devices train in full when the plan says so. */
  readonly heads: HeadShapes;
  readonly onEvent: (event: RunEvent) => void;
  /** Keeps the events instead of events.jsonl in the run folder. */
  readonly log?: (atMs: number, event: RunEvent) => void;
  /** Go on with the run in the folder; false asks for a folder without one. */
  readonly resume: boolean;
  /** Where blobs are kept; a folder in the run folder by default. */
  readonly store?: BlobStore;
  /** Stops the run so that it can be resumed. */
  readonly signal?: AbortSignal;
}

const KEEPALIVE_SECONDS = 30;
/** Signs of life that may stay away before a device counts as gone. */
const LEASE_BEATS = 3;

/**
 * Runs all rounds. Resolves also when the run fails (too few devices, a round without a quorum, a broken evaluation): then `ok` is false
 * and `reason` says why. Rejects with ConfigError before the start and with TransportError when the broker cannot be reached.
 */
export async function runCoordinator(
  config: CoordinatorConfig,
  deps: CoordinatorDeps,
): Promise<RunSummary> {
  const { clock, rng, signal } = deps;
  const startMs = clock.nowMs();
  const ground = await prepare(config, deps);
  const { model, identity, folder, tell } = ground;
  const topics = fleetTopics(config.fleet);
  const channel = new ControlChannel(topics, identity.epoch, clock, rng.fork("control"));
  const traffic = new TrafficTally();
  const connections = await connect(config, deps, traffic, channel.will());
  const closers: (() => Promise<void>)[] = [() => connections.close()];
  try {
    const plane = await openPlane(config, deps, ground, connections);
    closers.unshift(() => plane.close());
    folder.begin(identity, config);
    const ledger = new Ledger(traffic);
    const drops = new DropTally();
    const shared = { channel, plane, ledger, drops };
    const { coordinator, reception } = assemble(config, deps, ground, shared);
    const { resumedRound } = ground;
    const { fleet, rounds } = config;
    tell({ kind: "run-started", fleet, rounds, epoch: identity.epoch, resumedRound });
    const interrupt = (): void => coordinator.interrupt("interrupted", "gone");
    signal?.addEventListener("abort", interrupt, { once: true });
    closers.unshift(async () => signal?.removeEventListener("abort", interrupt));
    connections.control.onState((state) => reception.linkChanged(state));
    await channel.open(connections.control, reception);
    closers.unshift(async () => reception.close());
    reception.open();
    coordinator.feed({ kind: "start" });
    if (signal?.aborted === true) interrupt();
    const { ok, reason, farewell } = await coordinator.ended;
    if (farewell !== null) await channel.announce(farewell);
    const summary = {
      ok,
      reason,
      rounds: model.savedRound,
      ...model.quality,
      devices: ledger.summary(),
      dropped: { ...drops.byReason(), ...prefixed("frame-", plane.stats().dropped) },
      durationMs: clock.nowMs() - startMs,
    };
    folder.conclude(summary);
    return summary;
  } finally {
    for (const close of closers) await close();
  }
}

function connect(
  { fleet, connectTimeoutMs }: CoordinatorConfig,
  { factory, clock, rng }: CoordinatorDeps,
  traffic: TrafficTally,
  will: Will,
): Promise<ConnectionPair> {
  // Unlike a device id it is new each time: a second coordinator must not cut the first one off, but be heard by it.
  const clientId = `${fleet}.coordinator.${newMessageId(clock.nowMs(), rng.fork("client"))}`;
  return connectPair(traffic.wrap(factory), {
    controlId: clientId,
    dataId: `${clientId}.data`,
    will,
    clean: true,
    keepaliveSeconds: KEEPALIVE_SECONDS,
    giveUpAfterMs: connectTimeoutMs,
  });
}

/** What a run stands on: its folder, its base in the blob store, and the adapter to go on from. */
interface Ground {
  readonly identity: { readonly run: string; readonly epoch: number };
  readonly folder: RunFolder;
  readonly store: BlobStore;
  readonly baseFiles: readonly BaseFile[];
  readonly baseRoots: ReadonlySet<string>;
  readonly model: GlobalModel;
  readonly downlink: Downlink;
  readonly layout: UpdateLayout;
  readonly knowledge: FleetKnowledge;
  readonly controller: Controller;
  readonly resumedRound: number | null;
  readonly tell: (event: RunEvent) => void;
}

async function prepare(config: CoordinatorConfig, deps: CoordinatorDeps): Promise<Ground> {
  const { clock, evaluate, onEvent } = deps;
  const folder = new RunFolder(config.runFolder);
  const identity = nextIdentity(folder, deps);
  const store = deps.store ?? (await DiskBlobStore.at(folder.blobFolder));
  const baseFiles = await storeBaseFiles(config.base, store);
  expectTaskFits(config, identity.run, baseFiles, deps);
  const base = Object.fromEntries(baseFiles.map(({ name, root }) => [name, root]));
  const checkpoint = folder.load();
  if (checkpoint !== undefined) expectSameModel(checkpoint, config, base);
  const tell = (event: RunEvent): void => {
    if (deps.log === undefined) folder.log(clock.nowMs(), event);
    else deps.log(clock.nowMs(), event);
    onEvent(event);
  };
  const aggregator = aggregatorOf(config);
  const { shape } = deps;
  const scale = scaleOf(config);
  const { targets, trainHead } = config.plan;
  const heads: HeadShapes = trainHead ? deps.heads : new Map();
  const layout = new UpdateLayout({ shape, targets, heads, scale });
  const downlink = new Downlink(store, shape, checkpoint?.adapter ?? null);
  const rank = serverRankOf(config);
  const model = new GlobalModel({
    ...{ clock, folder, downlink, aggregator, rank, scale, base, checkpoint, evaluate, tell },
  });
  const saved = checkpoint?.fleet;
  const knowledge = new FleetKnowledge(shape, saved?.devices ?? {}, saved?.meanScores ?? new Map());
  const controller = controllerOf(config);
  if (saved !== undefined) controller.restore(saved.controller.state);
  const baseRoots = new Set(Object.values(base));
  const resumedRound = checkpoint?.round ?? null;
  return {
    ...{ identity, folder, store, baseFiles, baseRoots, model, downlink, layout, knowledge },
    ...{ controller, resumedRound, tell },
  };
}

function openPlane(
  { fleet }: CoordinatorConfig,
  { clock, rng }: CoordinatorDeps,
  { store, baseRoots, downlink }: Ground,
  { data }: ConnectionPair,
): Promise<DataPlane> {
  return createCoordinatorDataPlane({
    transport: data,
    topics: fleetTopics(fleet),
    store,
    clock,
    rng: rng.fork("transfers"),
    mayRead: (_, root) => baseRoots.has(root) || downlink.serves(root),
  });
}

function assemble(
  config: CoordinatorConfig,
  { clock, shape }: CoordinatorDeps,
  ground: Ground,
  shared: { channel: ControlChannel; plane: DataPlane; ledger: Ledger; drops: DropTally },
): { coordinator: Coordinator; reception: Reception } {
  const { identity, store, baseFiles, baseRoots, model, downlink, layout } = ground;
  const { knowledge, controller, tell } = ground;
  const { heartbeatMs, maxUpdateBytes: maxBytes } = config;
  const isKept = (root: string): boolean => baseRoots.has(root) || downlink.serves(root);
  const defectIn = (state: AdapterState): Defect | null => model.defectIn(state);
  const inbox = new UpdateInbox({ plane: shared.plane, store, clock, maxBytes, layout, isKept, defectIn });
  const roster = new Roster({ clock, leaseMs: LEASE_BEATS * heartbeatMs, graceMs: heartbeatMs });
  const profileOf = (device: string): Profile | undefined => roster.profile(device);
  const steering = new Steering({ config, shape, controller, knowledge, profileOf, tell });
  const selector = chosen(selectors, config.selection.kind);
  const { run } = identity;
  const coordinator = new Coordinator({
    ...shared,
    ...{ config, run, clock, inbox, model, downlink, knowledge, steering },
    ...{ selector, baseFiles, tell },
  });
  const reception = new Reception(
    { ...shared, clock, roster, heartbeatMs, baseRoots, tell },
    coordinator,
  );
  return { coordinator, reception };
}

/** The run's name, kept across restarts, and an incarnation above every earlier one. */
function nextIdentity(
  folder: RunFolder,
  { clock, rng, resume }: CoordinatorDeps,
): { run: string; epoch: number } {
  const before = folder.identity();
  if (before !== undefined && !resume) {
    throw new ConfigError(`${folder.path} holds a run already`, {
      hint: "resume it, or choose another run folder",
    });
  }
  if (before === undefined && resume) {
    throw new ConfigError(`${folder.path} holds no run to resume`);
  }
  // Seconds of the wall clock, so that runs in different folders are in order too.
  const nowSeconds = Math.floor(clock.nowMs() / 1000);
  const run = before?.run ?? newMessageId(clock.nowMs(), rng.fork("run"));
  return { run, epoch: Math.max(nowSeconds, (before?.epoch ?? 0) + 1) };
}

/** Many labels or files can outgrow a control message: that has to show before the run, not in its first round. */
function expectTaskFits(
  config: CoordinatorConfig,
  run: string,
  files: BaseFile[],
  { clock, rng }: CoordinatorDeps,
): void {
  const adapter = files[0] ?? null;
  const task = {
    kind: "train" as const,
    run,
    round: 1,
    attempt: 1,
    base: { files },
    adapter,
    deadlineMs: config.roundTimeoutMs,
  };
  const choice = { sparsity: config.pruning?.final ?? 0, rank: ranksOf(config).at(-1) ?? 1 };
  const wanted = { ...task, plan: planOf(config, 1, choice) };
  const address = { device: "d".repeat(64), epoch: 2 ** 32 - 1, round: config.rounds };
  try {
    new MessageStamp(clock, rng).encode(
      { kind: "state", wanted, heartbeatMs: config.heartbeatMs },
      address,
    );
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new ConfigError("the task of a round does not fit into one message", {
      cause,
      hint: "fewer or shorter labels, or fewer files in the folder of the base model",
    });
  }
}

/** The reasons that occurred, renamed. */
function prefixed(
  prefix: string,
  counts: Readonly<Record<string, number>>,
): Record<string, number> {
  const occurred = Object.entries(counts).filter(([, count]) => count > 0);
  return Object.fromEntries(occurred.map(([reason, count]) => [prefix + reason, count]));
}

function chosen<T>(list: Readonly<Record<string, T>>, kind: string): T {
  const found = list[kind];
  if (found !== undefined) return found;
  throw new ConfigError(`there is no strategy ${kind}`, { expected: Object.keys(list).join(", ") });
}
