/** A kernel set whose heavy calls are shared out among threads, with the bits of a single one. */
import type { Kernels } from "../kernels.ts";
import { divide, scratchStride, shareArguments, shareStart, type Split } from "./split.ts";
import { splits } from "./splits.ts";
import type { Team } from "./team.ts";

/**
 * A smaller share is done sooner than it is handed over: a command to a thread that is awake and its
 * answer take about 2 microseconds, waking a sleeping one some 50.
 */
const LEAST_SHARE_NS = 15_000;

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
    const split = splits[name as keyof Kernels];
    if (split === undefined) return [name, call];
    const context = { own, team, leastShareNs, kernel: names.indexOf(name), call };
    return [name, shared([split].flat(), context)];
  });
  return Object.fromEntries(entries) as unknown as Kernels;
}

interface Context {
  readonly own: Kernels;
  readonly team: Team;
  readonly leastShareNs: number;
  /** The kernel's index in commands, and itself on the calling thread. */
  readonly kernel: number;
  readonly call: AnyKernel;
}

/** The kernel with its shares handed out: the last ones to the team, the first one done here. */
function shared(options: readonly Split[], context: Context): AnyKernel {
  const { own, team, leastShareNs, kernel, call } = context;
  return (...args) => {
    const division = divide(options, args, team.size + 1, leastShareNs);
    if (division === null) return call(...args);
    team.assertWell();
    const { split, shares } = division;
    const stride = split.scratch === undefined ? 0 : scratchStride(split.scratch.bytes(own, args));
    let to = args[split.count] as number;
    for (let i = shares - 1; i > 0; i--) {
      const from = shareStart(split, args, i, shares);
      shareArguments(split, args, team.argumentsOf(i - 1), from, to, i * stride);
      team.post(i - 1, kernel, args.length);
      to = from;
    }
    args[split.count] = to;
    try {
      call(...args);
    } finally {
      team.awaitAll(shares - 1, kernel);
    }
    return undefined;
  };
}
