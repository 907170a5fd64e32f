/** How one kernel call divides into shares that may run at the same time. */
import type { Kernels } from "../kernels.ts";
import type { SharedCall } from "./board.ts";

/** A pointer argument that advances by `bytes` times the product of the arguments `sizes` per unit. */
export interface Move {
  readonly pointer: number;
  readonly bytes: number;
  readonly sizes: readonly number[];
}

/** Arguments are named by their position in the kernel's list of parameters, from 0. */
export interface Split {
  /** The argument that counts the units: rows, columns, elements, sequences. */
  readonly count: number;
  /** A share is a multiple of so many units, but for the last. */
  readonly grain: number;
  /** Everything else is the same in every share. A pointer that is 0 stays 0. */
  readonly moves: readonly Move[];
  /** Rough time of a unit: so many nanoseconds times the product of the arguments `sizes`. */
  readonly time: { readonly ns: number; readonly sizes: readonly number[] };
  /** The scratch argument and the bytes that one share of a call takes there. */
  readonly scratch?: {
    readonly pointer: number;
    readonly bytes: (kernels: Kernels, args: readonly number[]) => number;
  };
  /** Pointers to sums over the units: a call in which one of them is not 0 stays whole. */
  readonly sums?: readonly number[];
}

/** Distance of the shares' parts of scratch: what one of them needs, in whole lines of the cache. */
export function scratchStride(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** A division of one call: the first `longShares` of its shares are three times as long as the others. */
export interface Division {
  readonly split: Split;
  readonly shares: number;
  readonly longShares: number;
}

/**
 * The division of a call among so many threads, every share worth about `leastShareNs` or more; null when
 * the call stays whole. Of several possible divisions the one with the most units is taken. Where the
 * call is worth it, a long share for each thread is followed by a short one: that evens out what one was
 * late or slow by, while little is packed twice.
 */
export function divide(
  splits: readonly Split[],
  args: readonly number[],
  threads: number,
  leastShareNs: number,
): Division | null {
  if (threads === 1) return null;
  let best: Split | null = null;
  let mostGrains = 1;
  for (const split of splits) {
    const grains = Math.ceil((args[split.count] as number) / split.grain);
    if (grains <= mostGrains || split.sums?.some((pointer) => args[pointer] !== 0)) continue;
    best = split;
    mostGrains = grains;
  }
  if (best === null) return null;
  const worth = Math.floor(callNs(best, args) / Math.max(leastShareNs, 1e-9));
  const most = Math.min(mostGrains, worth);
  if (most >= 4 * threads) return { split: best, shares: 2 * threads, longShares: threads };
  const shares = Math.min(most, threads);
  return shares > 1 ? { split: best, shares, longShares: shares } : null;
}

function callNs({ count, time }: Split, args: readonly number[]): number {
  return (args[count] as number) * time.ns * product(args, time.sizes);
}

function product(args: readonly number[], sizes: readonly number[]): number {
  let result = 1;
  for (const size of sizes) result *= args[size] as number;
  return result;
}

/** The arguments of one share of a call, for the thread of that number; the calling one is number 0. */
export function shareArguments(
  split: Split,
  call: SharedCall,
  share: number,
  thread: number,
): number[] {
  const { count, moves, scratch } = split;
  const { args } = call;
  const from = shareStart(split, call, share);
  const out = args.slice();
  out[count] = shareStart(split, call, share + 1) - from;
  for (const { pointer, bytes, sizes } of moves) {
    const base = args[pointer] as number;
    if (base !== 0) out[pointer] = base + from * bytes * product(args, sizes);
  }
  if (scratch !== undefined) {
    out[scratch.pointer] = (args[scratch.pointer] as number) + thread * call.scratchStride;
  }
  return out;
}

/** First unit of a share; for the one behind the last, the number of units. */
function shareStart({ count, grain }: Split, call: SharedCall, share: number): number {
  const { args, shares, longShares } = call;
  const units = args[count] as number;
  const grains = Math.ceil(units / grain);
  const before = (end: number): number => 2 * Math.min(end, longShares) + end;
  return Math.min(units, Math.floor((grains * before(share)) / before(shares)) * grain);
}
