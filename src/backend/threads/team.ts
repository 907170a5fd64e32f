/** The threads of one engine: started together, helping with one call at a time, ended with the engine. */
import { Worker } from "node:worker_threads";
import { KernelError } from "../../base/errors.ts";
import { Board, type SharedCall } from "./board.ts";

/** What a thread is started with. */
export interface TeamSetup {
  readonly module: WebAssembly.Module;
  /** Shared by all threads. */
  readonly memory: WebAssembly.Memory;
  /** The kernels in the order in which calls count them. */
  readonly names: readonly string[];
  /** From createBoardMemory. */
  readonly board: SharedArrayBuffer;
}

export interface ThreadSetup extends TeamSetup {
  /** From 1; the engine itself is thread 0. */
  readonly index: number;
}

/** A board that is short of memory takes seconds to start a thread. */
const startPatienceMs = 10_000;
/** The engine has then done shares of the same call in far less time. */
const sharePatienceMs = 60_000;

export class Team {
  readonly #names: readonly string[];
  readonly #board: Board;
  #workers: Worker[] = [];
  /** Why a thread is gone, once one is. */
  #lost: string | null = null;

  /** Starts so many threads and waits until they stand by. Throws KernelError when one does not. */
  constructor(numThreads: number, setup: TeamSetup) {
    this.#names = setup.names;
    this.#board = new Board(setup.board);
    for (let index = 1; index <= numThreads; index++) {
      this.#workers.push(this.#start({ ...setup, index }));
    }
    const areThere = this.#board.awaitStart(numThreads, startPatienceMs);
    const { failure } = this.#board;
    if (areThere && failure === null) return;
    this.#fail("its start", failure ?? `no sign of life within ${startPatienceMs / 1000} s`);
  }

  /** Threads beside the calling one; 0 once the team has ended. */
  get size(): number {
    return this.#workers.length;
  }

  /**
   * Offers a call to the threads and takes shares of it like them; returns when all are done.
   * @throws KernelError, and ends the team, when a thread failed; what `doShare` throws comes first.
   */
  run(call: SharedCall, doShare: (share: number) => void): void {
    const doing = this.#names[call.kernel] ?? "";
    if (this.#lost !== null) this.#fail(doing, this.#lost);
    this.#board.post(call);
    let isDone = false;
    try {
      for (let share = this.#board.takeShare(); share !== null; share = this.#board.takeShare()) {
        doShare(share);
      }
    } finally {
      isDone = this.#board.awaitDone(sharePatienceMs);
    }
    if (!isDone) this.#fail(doing, `no answer within ${sharePatienceMs / 1000} s`);
    const { failure } = this.#board;
    if (failure !== null) this.#fail(doing, failure);
  }

  /** Ends the threads; they need not be idle. */
  end(): void {
    for (const worker of this.#workers) void worker.terminate();
    this.#workers = [];
  }

  #start(setup: ThreadSetup): Worker {
    const worker = startWorker(setup);
    worker.on("error", (error) => (this.#lost ??= error.message));
    worker.on("exit", (code) => (this.#lost ??= `it ended with code ${code}`));
    // A thread that waits for work must not keep the process alive.
    worker.unref();
    return worker;
  }

  #fail(doing: string, got: string): never {
    this.end();
    throw new KernelError(`threads: one failed in ${doing}`, {
      got,
      hint: "what was computed is lost; begin again, with one thread if it repeats",
    });
  }
}

function startWorker(setup: ThreadSetup): Worker {
  try {
    return new Worker(new URL("./worker.js", import.meta.url), {
      workerData: setup,
      // Options of the main script, such as one for code on the command line, are none of its business.
      execArgv: [],
      // It prints nothing, and joined to ours the streams of many threads would be warned of as a leak.
      stdout: true,
      stderr: true,
      // It runs kernels and allocates next to nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, stackSizeMb: 1 },
    });
  } catch (cause) {
    throw new KernelError("threads: none can be started", { cause });
  }
}
