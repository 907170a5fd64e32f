/** Starts a kernel set on several threads over one shared memory, where the machine has what that takes. */
import { availableParallelism } from "node:os";
import { KernelError } from "../../base/errors.ts";
import type { Kernels } from "../kernels.ts";
import { createBoardMemory } from "./board.ts";
import { Team } from "./team.ts";
import { createThreadedKernels } from "./threaded-kernels.ts";

/** Every core, or so many threads. */
export type ThreadChoice = number | "auto";

export interface ThreadedSet {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  /** Ends the threads; the kernels then run on the calling one alone. */
  readonly dispose: () => void;
}

export interface ThreadedOptions {
  /** A shared one to work in. */
  readonly memory?: WebAssembly.Memory | undefined;
  /** Least estimated time for which a share is handed to another thread. */
  readonly leastShareNs?: number | undefined;
}

/** What gateways have at most; who trains on a larger machine asks for more. */
const mostAutomatic = 8;
const mostThreads = 64;

/** How many threads a choice means here. Throws KernelError when it is no number of threads. */
export function countThreads(choice: ThreadChoice): number {
  if (choice === "auto") return Math.min(availableParallelism(), mostAutomatic);
  if (Number.isSafeInteger(choice) && choice >= 1 && choice <= mostThreads) return choice;
  throw new KernelError("threads", {
    expected: `a whole number from 1 to ${mostThreads}, or "auto"`,
    got: String(choice),
  });
}

/**
 * Instances of a module built for shared memory on `threads` threads, the calling one among them.
 * @throws KernelError when memory cannot be shared here or a thread does not start.
 */
export function loadThreaded(
  module: WebAssembly.Module,
  threads: number,
  { memory = createSharedMemory(), leastShareNs }: ThreadedOptions = {},
): ThreadedSet {
  const board = createBoardMemory();
  if (!(memory.buffer instanceof SharedArrayBuffer)) {
    throw new KernelError("threads", { expected: "a shared memory", got: "one that is not" });
  }
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const names = Object.keys(exports).filter((name) => typeof exports[name] === "function");
  const own = Object.fromEntries(names.map((name) => [name, exports[name]]));
  const team = new Team(threads - 1, { module, memory, names, board });
  const kernels = createThreadedKernels(own as unknown as Kernels, team, names, leastShareNs);
  return { kernels, memory, dispose: () => team.end() };
}

/** Largest sizes first: a shared memory cannot move, so its maximum is reserved as address space. */
const maximumPages = [65536, 32768, 16384, 8192];

/**
 * A growable memory for several threads, of up to 4 GiB and on 32-bit machines less.
 * @throws KernelError when none can be had.
 */
export function createSharedMemory(initialPages = 16): WebAssembly.Memory {
  let cause: unknown;
  for (const maximum of maximumPages) {
    try {
      return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true });
    } catch (error) {
      cause = error;
    }
  }
  throw new KernelError("threads: no shared memory can be reserved", { cause });
}
