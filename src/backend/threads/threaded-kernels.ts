/** A kernel set whose heavy calls are shared out among threads, with the bits of a single one. */
import type { Kernels } from "../kernels.ts";
import { divide, scratchStride, shareArguments, type Split } from "./split.ts";
import { splitsOf } from "./splits.ts";
import type { Team } from "./team.ts";

/**
 * Handing a share to a thread that is awake takes about 2 microseconds, waking one that sleeps some 50; until
 * it is there the engine goes on alone.
 */
const LEAST_SHARE_NS = 8_000;

type AnyKernel = (...args: number[]) => unknown;

/**
 * The set `own` of the calling thread and those of `team`, instances of one module over one memory.
 * Scratch sizes count for all threads together, so ask this set for them.
 */
export function createThreadedKernels(
  own: Kernels,
  team: Team,
  names: readonly string[],
  leastShareNs = LEAST_SHARE_NS,
): Kernels {
  const threads = team.size + 1;
  const entries = Object.entries<AnyKernel>(own).map(([name, call]): [string, unknown] => {
    if (name.endsWith("ScratchBytes")) {
      return [name, (...args: number[]) => threads * scratchStride(call(...args) as number)];
    }
    const splits = splitsOf(name as keyof Kernels);
    if (splits.length === 0) return [name, call];
    return [name, shared(splits, { own, team, leastShareNs, kernel: names.indexOf(name), call })];
  });
  return Object.fromEntries(entries) as unknown as Kernels;
}

interface Context {
  readonly own: Kernels;
  readonly team: Team;
  readonly leastShareNs: number;
  /** The kernel's index in calls, and itself on the calling thread. */
  readonly kernel: number;
  readonly call: AnyKernel;
}

function shared(splits: readonly Split[], context: Context): AnyKernel {
  const { own, team, leastShareNs, kernel, call } = context;
  return (...args) => {
    const division = divide(splits, args, team.size + 1, leastShareNs);
    if (division === null) return call(...args);
    const { split, shares, longShares } = division;
    const stride = split.scratch === undefined ? 0 : scratchStride(split.scratch.bytes(own, args));
    const place = splits.indexOf(split);
    const offer = { kernel, split: place, shares, longShares, scratchStride: stride, args };
    team.run(offer, (share) => call(...shareArguments(split, offer, share, 0)));
    return undefined;
  };
}
