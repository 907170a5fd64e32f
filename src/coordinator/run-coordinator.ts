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
import { createCoordinatorDataPlane } from "../transfer/data-plane.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import type { TransportFactory } from "../transport/transport.ts";
import { type BaseFile, storeBaseFiles } from "./base-files.ts";
import type { CoordinatorConfig } from "./config.ts";
import { ControlChannel } from "./control-channel.ts";
import { Coordinator, type Outcome, planOf } from "./coordinator.ts";
import { type Evaluate, GlobalModel } from "./global-model.ts";
import { Ledger } from "./ledger.ts";
import { Reception } from "./reception.ts";
import { Roster } from "./roster.ts";
import type { RunEvent, RunSummary } from "./run-events.ts";
import { type Checkpoint, RunFolder, expectSameModel } from "./run-folder.ts";
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
  const { clock, rng } = deps;
  const startMs = clock.nowMs();
  const folder = new RunFolder(config.runFolder);
  const identity = nextIdentity(folder, deps);
  const store = deps.store ?? (await DiskBlobStore.at(folder.blobFolder));
  const baseFiles = await storeBaseFiles(config.base, store);
  const base = Object.fromEntries(baseFiles.map(({ name, root }) => [name, root]));
  const checkpoint = folder.load();
  if (checkpoint !== undefined) expectSameModel(checkpoint, config, base);
  expectTaskFits(config, identity.run, baseFiles, deps);
  folder.begin(identity, config);

  const tell = (event: RunEvent): void => {
    folder.log(clock.nowMs(), event);
    deps.onEvent(event);
  };
  const traffic = new TrafficTally();
  const [ledger, drops] = [new Ledger(traffic), new DropTally()];
  const model = globalModel(config, deps, { store, folder, base, checkpoint, tell });
  await model.load();
  const topics = fleetTopics(config.fleet);
  const channel = new ControlChannel(topics, identity.epoch, clock, rng.fork("control"));
  const factory = traffic.wrap(deps.factory);
  const connection = {
    clean: true,
    keepaliveSeconds: KEEPALIVE_SECONDS,
    giveUpAfterMs: config.connectTimeoutMs,
  };
  // Unlike a device id it is new each time: a second coordinator must not cut the first one off, but be heard by it.
  const clientId = `${config.fleet}.coordinator.${newMessageId(clock.nowMs(), rng.fork("client"))}`;
  const control = await factory.connect({ ...connection, clientId, will: channel.will() });
  const data = await factory.connect({ ...connection, clientId: `${clientId}.data` });
  const baseRoots = new Set(Object.values(base));
  const isServed = (root: string): boolean => baseRoots.has(root) || model.serves(root);
  const plane = await createCoordinatorDataPlane({
    ...{ transport: data, topics, store, clock },
    rng: rng.fork("transfers"),
    mayRead: (_, root) => isServed(root),
  });
  const { rank, alpha } = config.plan;
  const { maxUpdateBytes: maxBytes, heartbeatMs } = config;
  const inbox = new UpdateInbox({
    plane,
    store,
    clock,
    maxBytes,
    rank,
    scale: alpha / rank,
    isKept: isServed,
  });
  const selector = chosen(selectors, config.selection.kind);
  const coordinator = new Coordinator({
    ...{
      config,
      run: identity.run,
      clock,
      channel,
      inbox,
      model,
      ledger,
      drops,
      selector,
      baseFiles,
      tell,
    },
  });
  const roster = new Roster({ clock, leaseMs: LEASE_BEATS * heartbeatMs, graceMs: heartbeatMs });
  const parts = { clock, channel, roster, ledger, drops, heartbeatMs, baseRoots, tell };
  const reception = new Reception(parts, coordinator);
  control.onState((state) => reception.linkChanged(state));
  const { fleet, rounds } = config;
  const resumedRound = checkpoint?.round ?? null;
  tell({ kind: "run-started", fleet, rounds, epoch: identity.epoch, resumedRound });
  const interrupt = (): void => coordinator.interrupt("interrupted", "gone");
  deps.signal?.addEventListener("abort", interrupt, { once: true });
  let outcome: Outcome;
  let refusedFrames: Readonly<Record<string, number>> = {};
  try {
    await channel.open(control, reception);
    reception.open();
    coordinator.feed({ kind: "start" });
    if (deps.signal?.aborted === true) interrupt();
    outcome = await coordinator.ended;
    if (outcome.farewell !== null) await channel.announce(outcome.farewell);
  } finally {
    deps.signal?.removeEventListener("abort", interrupt);
    reception.close();
    refusedFrames = plane.stats().dropped;
    await plane.close();
    await Promise.all([data.close(), control.close()]);
  }
  return {
    ok: outcome.ok,
    reason: outcome.reason,
    rounds: model.savedRound,
    ...model.quality,
    devices: ledger.summary(),
    dropped: { ...drops.byReason(), ...prefixed("frame-", refusedFrames) },
    durationMs: clock.nowMs() - startMs,
  };
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

function globalModel(
  { plan, aggregation }: CoordinatorConfig,
  { clock, evaluate }: CoordinatorDeps,
  parts: {
    store: BlobStore;
    folder: RunFolder;
    base: Readonly<Record<string, string>>;
    checkpoint: Checkpoint | undefined;
    tell: (event: RunEvent) => void;
  },
): GlobalModel {
  const { rank, alpha } = plan;
  return new GlobalModel({
    ...parts,
    clock,
    evaluate,
    rank,
    alpha,
    aggregator: chosen(aggregators, aggregation.kind),
  });
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
