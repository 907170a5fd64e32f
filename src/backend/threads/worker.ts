/** A thread of an engine: takes shares of its calls over its memory, until it is ended. */
import { workerData } from "node:worker_threads";
import type { Kernels } from "../kernels.ts";
import { Board } from "./board.ts";
import { shareArguments, type Split } from "./split.ts";
import { splitsOf } from "./splits.ts";
import type { ThreadSetup } from "./team.ts";

type Kernel = (...args: readonly number[]) => void;

const { module, memory, names, board: boardMemory, index } = workerData as ThreadSetup;
const board = new Board(boardMemory);

/** Reports what `action` throws, if anything. */
function reporting(action: () => void): void {
  try {
    action();
  } catch (error) {
    board.fail(error instanceof Error ? error.message : String(error));
  }
}

let exports: Record<string, unknown> = {};
reporting(() => ({ exports } = new WebAssembly.Instance(module, { env: { memory } })));
board.announce();
for (;;) {
  board.awaitCall();
  board.enter();
  reporting(takeShares);
  board.leave();
}

function takeShares(): void {
  let share = board.takeShare();
  if (share === null) return;
  const call = board.read();
  const name = names[call.kernel] as keyof Kernels;
  const split = splitsOf(name)[call.split] as Split;
  const kernel = exports[name] as Kernel;
  for (; share !== null; share = board.takeShare()) {
    kernel(...shareArguments(split, call, share, index));
  }
}
