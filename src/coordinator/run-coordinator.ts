/** Puts a coordinator together, runs it to its end, and sums up. */
import type { Clock } from "../base/clock.ts";
import { ConfigError, ProtocolError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { newMessageId } from "../protocol/envelope.ts";
import { MessageStamp } from "../protocol/message-stamp.ts";
import { fleetTopics } from "../protocol/topics.ts";
import { aggregators } from "../strategies/aggregation/index.ts";
import { selectors } from "../strategies/selection/index.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { type DataPlane, createCoordinatorDataPlane } from "../transfer/data-plane.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import { type ConnectionPair, connectPair } from "../transport/connection-pair.ts";
import type { TransportFactory, Will } from "../transport/transport.ts";
import { type BaseFile, storeBaseFiles } from "./base-files.ts";
import type { CoordinatorConfig } from "./config.ts";
import { ControlChannel } from "./control-channel.ts";
import { Coordinator, planOf } from "./coordinator.ts";
import { type Evaluate, GlobalModel } from "./global-model.ts";
import { Ledger } from "./ledger.ts";
import { Reception } from "./reception.ts";
import { Roster } from "./roster.ts";
import type { RunEvent, RunSummary } from "./run-events.ts";
import { RunFolder, expectSameModel } from "./run-folder.ts";
import { DropTally, TrafficTally } from "./tallies.ts";
import { UpdateInbox } from "./update-inbox.ts";

export interface CoordinatorDeps {
  /** Opens connections to the broker of the settings. */
  readonly factory: TransportFactory;
  readonly clock: Clock;
  /** Seeded by chance, since it names messages, processes and runs; it decides nothing about the training. */
  readonly rng: Rng;
  /** Scores an adapter, null being the base alone; null when there is nothing to score with. */
  readonly evaluate: Evaluate | null;
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
    return {
      ok,
      reason,
      rounds: model.savedRound,
      ...model.quality,
      devices: ledger.summary(),
      dropped: { ...drops.byReason(), ...prefixed("frame-", plane.stats().dropped) },
      durationMs: clock.nowMs() - startMs,
    };
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
  readonly resumedRound: number | null;
  readonly tell: (event: RunEvent) => void;
}

async function prepare(config: CoordinatorConfig, deps: CoordinatorDeps): Promise<Ground> {
  const { clock, evaluate, onEvent } = deps;
  const { rank, alpha } = config.plan;
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
  const aggregator = chosen(aggregators, config.aggregation.kind);
  const model = new GlobalModel({
    clock,
    store,
    folder,
    aggregator,
    rank,
    alpha,
    base,
    checkpoint,
    evaluate,
    tell,
  });
  await model.load();
  const baseRoots = new Set(Object.values(base));
  const resumedRound = checkpoint?.round ?? null;
  return { identity, folder, store, baseFiles, baseRoots, model, resumedRound, tell };
}

function openPlane(
  { fleet }: CoordinatorConfig,
  { clock, rng }: CoordinatorDeps,
  { store, baseRoots, model }: Ground,
  { data }: ConnectionPair,
): Promise<DataPlane> {
  return createCoordinatorDataPlane({
    transport: data,
    topics: fleetTopics(fleet),
    store,
    clock,
    rng: rng.fork("transfers"),
    mayRead: (_, root) => baseRoots.has(root) || model.serves(root),
  });
}

function assemble(
  config: CoordinatorConfig,
  { clock }: CoordinatorDeps,
  { identity, store, baseFiles, baseRoots, model, tell }: Ground,
  shared: { channel: ControlChannel; plane: DataPlane; ledger: Ledger; drops: DropTally },
): { coordinator: Coordinator; reception: Reception } {
  const { rank, alpha } = config.plan;
  const { heartbeatMs, maxUpdateBytes: maxBytes } = config;
  const isKept = (root: string): boolean => baseRoots.has(root) || model.serves(root);
  const inbox = new UpdateInbox({
    plane: shared.plane,
    store,
    clock,
    maxBytes,
    rank,
    scale: alpha / rank,
    isKept,
  });
  const selector = chosen(selectors, config.selection.kind);
  const { run } = identity;
  const coordinator = new Coordinator({
    ...shared,
    config,
    run,
    clock,
    inbox,
    model,
    selector,
    baseFiles,
    tell,
  });
  const roster = new Roster({ clock, leaseMs: LEASE_BEATS * heartbeatMs, graceMs: heartbeatMs });
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
  const wanted = { ...task, plan: planOf(config, 1) };
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
