/** The threads of one engine: started together, given shares of kernel calls, ended with the engine. */
import { Worker } from "node:worker_threads";
import { KernelError } from "../../base/errors.ts";
import { createMailboxes, Mailbox } from "./mailbox.ts";

/** What a thread is started with. */
export interface TeamSetup {
  readonly module: WebAssembly.Module;
  /** Shared by all threads. */
  readonly memory: WebAssembly.Memory;
  /** The kernels in the order in which commands count them. */
  readonly names: readonly string[];
}

export interface ThreadSetup extends TeamSetup {
  readonly mailboxes: SharedArrayBuffer;
  /** Position of the thread's box. */
  readonly index: number;
}

/** A board that is short of memory takes seconds to start a thread, and no share outlives the engine's own by a minute. */
const startPatienceMs = 20_000;
const sharePatienceMs = 60_000;

interface Member {
  readonly worker: Worker;
  readonly mailbox: Mailbox;
  /** Why it cannot be given work any more. */
  lost: string | null;
}

export class Team {
  #members: Member[] = [];
  readonly #names: readonly string[];

  /** Starts so many threads and waits until they stand by. Throws KernelError when one does not. */
  constructor(numMembers: number, setup: TeamSetup) {
    this.#names = setup.names;
    const mailboxes = createMailboxes(numMembers);
    this.#members = Array.from({ length: numMembers }, (_, index) =>
      start({ ...setup, mailboxes, index }),
    );
    for (const member of this.#members) this.#expectAnswer(member, startPatienceMs, "its start");
  }

  /** Threads beside the calling one; 0 once the team has ended. */
  get size(): number {
    return this.#members.length;
  }

  /** Where the arguments of the next share of a thread are written. */
  argumentsOf(index: number): Float64Array {
    return this.#memberAt(index).mailbox.args;
  }

  /** Lets thread `index` call a kernel with the arguments that were written. */
  post(index: number, kernel: number, numArguments: number): void {
    this.#memberAt(index).mailbox.post(kernel, numArguments);
  }

  /** Throws KernelError, and ends the team, when a thread can no longer work. */
  assertWell(): void {
    for (const member of this.#members)
      if (member.lost !== null) this.#fail(member, "its work", member.lost);
  }

  /** Waits until the first `count` threads have answered. Throws KernelError when one failed. */
  awaitAll(count: number, kernel: number): void {
    const doing = this.#names[kernel] ?? "";
    for (let i = 0; i < count; i++) this.#expectAnswer(this.#memberAt(i), sharePatienceMs, doing);
  }

  /** Ends the threads; they need not be idle. */
  end(): void {
    for (const { worker } of this.#members) void worker.terminate();
    this.#members = [];
  }

  #memberAt(index: number): Member {
    return this.#members[index] as Member;
  }

  #expectAnswer(member: Member, patienceMs: number, doing: string): void {
    if (!member.mailbox.awaitAnswer(patienceMs)) {
      this.#fail(member, doing, member.lost ?? `no answer within ${patienceMs / 1000} s`);
    }
    const { failure } = member.mailbox;
    if (failure !== null) this.#fail(member, doing, failure);
  }

  #fail(member: Member, doing: string, got: string): never {
    const position = this.#members.indexOf(member) + 2;
    const threads = this.#members.length + 1;
    this.end();
    throw new KernelError(`thread ${position} of ${threads} failed in ${doing}`, {
      got,
      hint: "what was computed is lost; begin again, with one thread if it repeats",
    });
  }
}

function start(setup: ThreadSetup): Member {
  const worker = startWorker(setup);
  const member: Member = { worker, mailbox: new Mailbox(setup.mailboxes, setup.index), lost: null };
  worker.on("error", (error) => (member.lost = error.message));
  worker.on("exit", (code) => (member.lost ??= `it ended with code ${code}`));
  // A thread that waits for work must not keep the process alive.
  worker.unref();
  return member;
}

function startWorker(setup: ThreadSetup): Worker {
  try {
    return new Worker(new URL("./worker.js", import.meta.url), {
      workerData: setup,
      // It runs kernels and allocates next to nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, stackSizeMb: 1 },
    });
  } catch (cause) {
    throw new KernelError("threads: none can be started", { cause });
  }
}
