/** Puts a coordinator together, runs it to its end, and sums up. */
import type { AdapterState } from "../base/adapter.ts";
import { ConfigError, DisplacedError } from "../base/errors.ts";
import { newMessageId } from "../protocol/envelope.ts";
import { fleetTopics } from "../protocol/topics.ts";
import type { Defect } from "../strategies/aggregation/update-check.ts";
import { selectors } from "../strategies/selection/index.ts";
import { type DataPlane, createCoordinatorDataPlane } from "../transfer/data-plane.ts";
import { type ConnectionPair, connectPair } from "../transport/connection-pair.ts";
import type { Will } from "../transport/transport.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { CoordinatorDeps } from "./coordinator-deps.ts";
import { ControlChannel } from "./control-channel.ts";
import { Coordinator } from "./coordinator.ts";
import { deviceSummaries } from "./device-totals.ts";
import { DeviceLimits } from "./device-limits.ts";
import { isDiskFault } from "./disk-guard.ts";
import { type Ground, prepare } from "./ground.ts";
import { Reception } from "./reception.ts";
import { recover } from "./recovery.ts";
import { type Profile, Roster } from "./roster.ts";
import { RoundResults } from "./round-results.ts";
import type { RunSummary } from "./run-events.ts";
import { SealGate } from "./seal-gate.ts";
import { Steering } from "./steering.ts";
import { DropTally, TrafficTally } from "./tallies.ts";
import { UpdateInbox } from "./update-inbox.ts";

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
  const ground = await prepare(config, deps);
  const closers: (() => Promise<void>)[] = [async () => ground.journal.close()];
  try {
    return await lead(config, deps, ground, closers);
  } finally {
    for (const close of closers) await close();
  }
}

async function lead(
  config: CoordinatorConfig,
  deps: CoordinatorDeps,
  ground: Ground,
  closers: (() => Promise<void>)[],
): Promise<RunSummary> {
  const { clock, rng, signal } = deps;
  const startMs = clock.nowMs();
  const { model, journal, folder, tell } = ground;
  const { epoch, dropped } = journal.record;
  const channel = new ControlChannel(fleetTopics(config.fleet), epoch, clock, rng.fork("control"));
  const traffic = new TrafficTally();
  const gate = new SealGate(channel, clock);
  const connections = await connect(config, deps, { traffic, gate }, channel.will());
  closers.unshift(() => connections.close());
  const plane = await openPlane(config, deps, ground, connections);
  closers.unshift(() => plane.close());
  folder.begin(config);
  const drops = new DropTally(dropped);
  drops.include(() => prefixed("frame-", plane.stats().dropped));
  const shared = { channel, plane, traffic, drops };
  const { coordinator, reception } = await assemble(config, deps, ground, shared);
  const { resumedRound } = ground;
  tell({ kind: "run-started", fleet: config.fleet, rounds: config.rounds, epoch, resumedRound });
  const interrupt = (): void => coordinator.interrupt("interrupted", "gone");
  signal?.addEventListener("abort", interrupt, { once: true });
  closers.unshift(async () => signal?.removeEventListener("abort", interrupt));
  connections.control.onState((state) => reception.linkChanged(state));
  gate.open(reception);
  await channel.open(connections.control, reception);
  closers.unshift(async () => reception.close());
  closers.unshift(async () => channel.close());
  reception.open();
  coordinator.start();
  if (signal?.aborted === true) interrupt();
  const { ok, reason, ending, farewell } = await coordinator.ended;
  if (farewell !== null) await channel.announce(farewell);
  const counts = { dropped: drops.byReason(), traffic: traffic.counted };
  if (ending !== "displaced") conclude(() => journal.conclude(counts));
  const summary = {
    ...{ ok, ending, reason, rounds: model.savedRound, ...model.quality },
    devices: deviceSummaries(journal.record.totals),
    dropped: counts.dropped,
    durationMs: clock.nowMs() - startMs,
  };
  if (ending !== "displaced") conclude(() => folder.conclude(summary));
  return summary;
}

/** What a run leaves at its end is for readers: on a full disk it ends all the same. */
function conclude(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isDiskFault(error) && !(error instanceof DisplacedError)) throw error;
  }
}

function connect(
  { fleet, connectTimeoutMs }: CoordinatorConfig,
  { factory, clock, rng, seal }: CoordinatorDeps,
  { traffic, gate }: { traffic: TrafficTally; gate: SealGate },
  will: Will,
): Promise<ConnectionPair> {
  // Unlike a device id it is new each time: a second coordinator must not cut the first one off, but be heard by it.
  const clientId = `${fleet}.coordinator.${newMessageId(clock.nowMs(), rng.fork("client"))}`;
  return connectPair(gate.wrap(traffic.wrap(factory), seal), {
    controlId: clientId,
    dataId: `${clientId}.data`,
    will,
    clean: true,
    keepaliveSeconds: KEEPALIVE_SECONDS,
    giveUpAfterMs: connectTimeoutMs,
  });
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

async function assemble(
  config: CoordinatorConfig,
  { clock, shape }: CoordinatorDeps,
  ground: Ground,
  shared: { channel: ControlChannel; plane: DataPlane; traffic: TrafficTally; drops: DropTally },
): Promise<{ coordinator: Coordinator; reception: Reception }> {
  const { journal, folder, store, baseFiles, baseRoots, model, downlink, layout, screen } = ground;
  const { knowledge, controller, tell } = ground;
  const { heartbeatMs, maxUpdateBytes: maxBytes } = config;
  const isKept = (root: string): boolean => baseRoots.has(root) || downlink.serves(root);
  const defectIn = (state: AdapterState): Defect | null => model.defectIn(state);
  const inbox = new UpdateInbox({
    plane: shared.plane,
    store,
    clock,
    maxBytes,
    layout,
    screen,
    isKept,
    defectIn,
  });
  const roster = new Roster({ clock, leaseMs: LEASE_BEATS * heartbeatMs, graceMs: heartbeatMs });
  const profileOf = (device: string): Profile | undefined => roster.profile(device);
  const limits = new DeviceLimits({ config, shape, knowledge, profileOf });
  const steering = new Steering({ config, shape, controller, knowledge, limits });
  const selector = chosen(selectors, config.selection.kind);
  const results = new RoundResults();
  const overlaps = config.mode.kind === "buffered";
  const restoring = { store, inbox, roster, controller, steering, results, overlaps, tell };
  const recovered = await recover(journal.record, restoring);
  const { run } = journal.record;
  const probe = (sizeBytes: number): void => folder.probe(sizeBytes);
  const coordinator = new Coordinator({
    ...shared,
    ...{ config, run, clock, inbox, model, downlink, knowledge, steering, screen },
    ...{ selector, baseFiles, tell, results, journal, recovered, profileOf, probe },
  });
  const reception = new Reception(
    { ...shared, journal, clock, roster, heartbeatMs, baseRoots, tell },
    coordinator,
  );
  return { coordinator, reception };
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
