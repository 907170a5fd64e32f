/** How one kernel call divides into shares that may run at the same time. */
import type { Kernels } from "../kernels.ts";
import type { SharedCall } from "./board.ts";

type Arguments = readonly number[];

/** Arguments are named by their position in the kernel's list of parameters, from 0. */
export interface Split {
  /** The argument that counts the units: rows, columns, elements, sequences. */
  readonly count: number;
  /** A share is a multiple of so many units, but for the last. */
  readonly grain: number;
  /** Pointers that advance from unit to unit, unless they are 0; everything else is the same in every share. */
  readonly moves: readonly Move[];
  /** Arguments that are the number of the call's first unit. */
  readonly numbers?: readonly number[];
  /** Rough time of a unit in nanoseconds. */
  readonly unitNs: (args: Arguments) => number;
  /** The scratch argument and the bytes that one share of a call takes there. */
  readonly scratch?: Scratch;
  /** Pointers to sums over the units: a call in which one of them is not 0 stays whole. */
  readonly sums?: readonly number[];
}

export interface Move {
  readonly pointer: number;
  /** Bytes from one unit to the next. */
  readonly stride: (args: Arguments) => number;
}

export interface Scratch {
  readonly pointer: number;
  readonly bytes: (kernels: Kernels, args: Arguments) => number;
}

/** The product of some of the arguments, by position; 1 without any. */
export function sizeOf(args: Arguments, positions: readonly number[]): number {
  let size = 1;
  for (const position of positions) size *= args[position] as number;
  return size;
}

/** A pointer to numbers of so many bytes, of which a unit has as many as the product of the size arguments. */
export function moveBytes(bytes: number, pointer: number, ...sizes: readonly number[]): Move {
  return { pointer, stride: (args) => bytes * sizeOf(args, sizes) };
}

/** A pointer to floats. */
export function by(pointer: number, ...sizes: readonly number[]): Move {
  return moveBytes(4, pointer, ...sizes);
}

/** So many nanoseconds times the product of the size arguments, for each unit. */
export function costs(ns: number, ...sizes: readonly number[]): Split["unitNs"] {
  return (args) => ns * sizeOf(args, sizes);
}

/** Distance of the shares' parts of scratch: what one of them needs, in whole lines of the cache. */
export function scratchStride(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** From here on late threads matter more than a second packing. */
const LEAST_SHORT_SHARE_NS = 500_000;

/** A division of one call: the first `longShares` of its shares are three times as long as the others. */
export interface Division {
  readonly split: Split;
  readonly shares: number;
  readonly longShares: number;
}

/**
 * The division of a call among so many threads, every share worth about `leastShareNs` or more; null when
 * the call stays whole. The first division into even shares is taken, else the one with the most parts. In a
 * long call a long share for each thread is followed by a short one: that evens out what one was late or
 * slow by. In others it would cost more than that, because operands are packed for each share.
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
    if (grains >= 4 * threads || grains % threads === 0) break;
  }
  if (best === null) return null;
  const callNs = (args[best.count] as number) * best.unitNs(args);
  if (mostGrains >= 4 * threads && callNs >= 4 * threads * LEAST_SHORT_SHARE_NS) {
    return { split: best, shares: 2 * threads, longShares: threads };
  }
  const worth = leastShareNs === 0 ? threads : Math.floor(callNs / leastShareNs);
  const shares = Math.min(mostGrains, worth, threads);
  return shares > 1 ? { split: best, shares, longShares: shares } : null;
}

/** The arguments of one share of a call, for the thread of that number; the calling one is number 0. */
export function shareArguments(
  split: Split,
  call: SharedCall,
  share: number,
  thread: number,
): number[] {
  const { count, moves, numbers = [], scratch } = split;
  const { args } = call;
  const from = shareStart(split, call, share);
  const out = args.slice();
  out[count] = shareStart(split, call, share + 1) - from;
  for (const { pointer, stride } of moves) {
    const base = args[pointer] as number;
    if (base !== 0) out[pointer] = base + from * stride(args);
  }
  for (const number of numbers) out[number] = (args[number] as number) + from;
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
