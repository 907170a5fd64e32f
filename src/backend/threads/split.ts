/** How one kernel call divides into shares that may run at the same time. */
import type { Kernels } from "../kernels.ts";

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

/**
 * The division to use for a call and the number of its shares, at most `threads`, each of them worth
 * at least `leastShareNs`; null when the call stays whole. Of several possible divisions the one with
 * the most units is taken.
 */
export function divide(
  splits: readonly Split[],
  args: readonly number[],
  threads: number,
  leastShareNs: number,
): { readonly split: Split; readonly shares: number } | null {
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
  const shares = Math.min(threads, mostGrains, worth);
  return shares > 1 ? { split: best, shares } : null;
}

function callNs({ count, time }: Split, args: readonly number[]): number {
  return (args[count] as number) * time.ns * product(args, time.sizes);
}

function product(args: readonly number[], sizes: readonly number[]): number {
  let result = 1;
  for (const size of sizes) result *= args[size] as number;
  return result;
}

/** First unit of share `index` of `shares`: whole grains, spread evenly. */
export function shareStart(
  { count, grain }: Split,
  args: readonly number[],
  index: number,
  shares: number,
): number {
  const units = args[count] as number;
  const grains = Math.ceil(units / grain);
  return Math.min(units, Math.floor((grains * index) / shares) * grain);
}

/** Writes the arguments of the share [from, to) of a call to `out`. */
export function shareArguments(
  { count, moves, scratch }: Split,
  args: readonly number[],
  out: Float64Array,
  from: number,
  to: number,
  scratchShift: number,
): void {
  out.set(args);
  out[count] = to - from;
  for (const { pointer, bytes, sizes } of moves) {
    const base = args[pointer] as number;
    if (base !== 0) out[pointer] = base + from * bytes * product(args, sizes);
  }
  if (scratch !== undefined) {
    out[scratch.pointer] = (args[scratch.pointer] as number) + scratchShift;
  }
}
