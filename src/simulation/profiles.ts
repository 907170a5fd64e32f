/** The devices of a simulated fleet: who they are, and what each of them draws for a round. */
import { Rng } from "../base/rng.ts";
import { type Hostile, hostileIds } from "./hostile.ts";
import type { Board, FleetLink, FleetProfile, NumberOrRange } from "./fleet-schema.ts";

/** What stays the same over the run. */
export interface SimulatedMachine {
  readonly id: string;
  /** Position in the fleet, from 0. */
  readonly index: number;
  readonly board: Board;
  readonly link: FleetLink;
  /** In its fastest mode. */
  readonly secondsPerGflop: number;
  /** What it sends instead of what it has learnt; null for an honest one. */
  readonly hostile: Hostile | null;
}

/** What a machine has to work with in one round. */
export interface RoundConditions {
  /** Power mode, jitter and emulation included. */
  readonly secondsPerGflop: number;
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  readonly latencyMs: number;
  /** The share of its training after which the device vanishes; null when it stays. */
  readonly vanishesAt: number | null;
}

/** How much longer than the base's own everything takes; see `emulate` in the settings. */
export interface TimeFactors {
  readonly training: number;
  readonly transfer: number;
}

/** Settings that replace those of every board and link. */
export interface FleetOverrides {
  readonly jitter?: number;
  readonly dropoutProbability?: number;
  readonly dutyCycle?: { readonly onShare: number; readonly periodSeconds: number };
  readonly memoryBytes?: number;
  readonly secondsPerGflop?: NumberOrRange;
  readonly upMegabitsPerSecond?: NumberOrRange;
  readonly downMegabitsPerSecond?: NumberOrRange;
  readonly latencyMs?: NumberOrRange;
}

/**
 * `numDevices` machines with the profile's shares of boards and of links, dealt independently of each other. Speeds are drawn per
 * machine, so that a larger fleet repeats kinds but not machines.
 */
export function drawFleet(
  profile: FleetProfile,
  numDevices: number,
  overrides: FleetOverrides,
  seed: number,
  hostile: Hostile | null = null,
): SimulatedMachine[] {
  const rng = Rng.fromSeed(`${seed}/fleet`);
  const boards = rng.fork("boards").shuffle(inShares(profile.boards, numDevices));
  const links = rng.fork("links").shuffle(inShares(profile.links, numDevices));
  const digits = String(numDevices).length;
  const ids = boards.map((_, index) => `sim-${String(index + 1).padStart(digits, "0")}`);
  const bad = hostile === null ? new Set<string>() : hostileIds(ids, hostile, seed);
  return boards.map((plain, index) => {
    const board: Board = { ...plain, ...only(overrides, BOARD_KEYS) };
    const link: FleetLink = { ...(links[index] as FleetLink), ...only(overrides, LINK_KEYS) };
    const id = ids[index] as string;
    const secondsPerGflop = drawn(board.secondsPerGflop, rng.fork(id));
    return { id, index, board, link, secondsPerGflop, hostile: bad.has(id) ? hostile : null };
  });
}

/** Depends on seed, machine and round alone, so that a resumed simulation needs no state of it. */
export function drawConditions(
  { id, board, link, secondsPerGflop }: SimulatedMachine,
  round: number,
  seed: number,
  factors: TimeFactors,
): RoundConditions {
  const rng = Rng.fromSeed(`${seed}/conditions/${id}/${round}`);
  const period = Math.floor((round - 1) / board.modeRounds);
  const mode = Rng.fromSeed(`${seed}/mode/${id}/${period}`).pick(board.modes);
  const jitter = Math.exp(board.jitter * rng.fork("jitter").normal());
  const dropout = rng.fork("dropout");
  const isGone = dropout.next() < board.dropoutProbability;
  const bytesPerMegabit = 1e6 / 8 / factors.transfer;
  return {
    secondsPerGflop: secondsPerGflop * mode * jitter * factors.training,
    upBytesPerSecond: bytesPerMegabit * drawn(link.upMegabitsPerSecond, rng.fork("up")),
    downBytesPerSecond: bytesPerMegabit * drawn(link.downMegabitsPerSecond, rng.fork("down")),
    latencyMs: drawn(link.latencyMs, rng.fork("latency")),
    vanishesAt: isGone ? dropout.next() : null,
  };
}

/** The next moments from `fromMs` on at which the machine goes on and off, by its duty cycle. */
export function dutyAt(
  { id, board: { dutyCycle } }: SimulatedMachine,
  fromMs: number,
  seed: number,
): { readonly isOn: boolean; readonly changesAtMs: number } {
  if (dutyCycle === undefined || dutyCycle.onShare === 1)
    return { isOn: true, changesAtMs: Infinity };
  const periodMs = 1000 * dutyCycle.periodSeconds;
  const phaseMs = periodMs * Rng.fromSeed(`${seed}/duty/${id}`).next();
  const onMs = periodMs * dutyCycle.onShare;
  // At the very end of a period rounding must not call it the same one still.
  const cycle = Math.floor((fromMs - phaseMs) / periodMs + 1e-9);
  const startMs = cycle * periodMs + phaseMs;
  const isOn = fromMs < startMs + onMs;
  return { isOn, changesAtMs: startMs + (isOn ? onMs : periodMs) };
}

const BOARD_KEYS = [
  ...(["jitter", "dropoutProbability", "dutyCycle", "memoryBytes", "secondsPerGflop"] as const),
];
const LINK_KEYS = ["upMegabitsPerSecond", "downMegabitsPerSecond", "latencyMs"] as const;

function only<K extends keyof FleetOverrides>(
  overrides: FleetOverrides,
  keys: readonly K[],
): Partial<Pick<FleetOverrides, K>> {
  const entries = keys.flatMap((key) =>
    overrides[key] === undefined ? [] : [[key, overrides[key]]],
  );
  return Object.fromEntries(entries) as Partial<Pick<FleetOverrides, K>>;
}

function drawn(value: NumberOrRange, rng: Rng): number {
  return typeof value === "number" ? value : value[0] + (value[1] - value[0]) * rng.next();
}

/** Each kind in its share, by largest remainders; of equal ones the earlier comes first. */
function inShares<T extends { readonly count: number }>(kinds: readonly T[], size: number): T[] {
  const total = kinds.reduce((sum, { count }) => sum + count, 0);
  const exact = kinds.map(({ count }) => (size * count) / total);
  const counts = exact.map(Math.floor);
  const byRemainder = exact
    .map((share, i) => ({ i, rest: share - Math.floor(share) }))
    .sort((a, b) => b.rest - a.rest || a.i - b.i);
  const missing = size - counts.reduce((sum, count) => sum + count, 0);
  for (const { i } of byRemainder.slice(0, missing)) counts[i] = (counts[i] ?? 0) + 1;
  return kinds.flatMap((kind, i) => Array.from({ length: counts[i] ?? 0 }, () => kind));
}
