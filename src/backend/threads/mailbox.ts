/** The shared memory through which an engine hands shares of its work to its threads: one box for each. */
import { KernelError } from "../../base/errors.ts";

const boxBytes = 1024;
const maxArguments = 32;
const argumentsAt = 192;
const textAt = argumentsAt + 8 * maxArguments;

/** Positions of 32-bit words; what different sides write is at least a line of the cache apart. */
const POSTED = 0;
const KERNEL = 1;
const COUNT = 2;
const ENGINE_SLEEPS = 3;
const DONE = 16;
const FAILED = 17;
const TEXT_LENGTH = 18;
const THREAD_SLEEPS = 32;

/** Looks before sleeping, about 50 microseconds: longer than the work between two kernels of a training step. */
const looks = 20_000;

export interface Command {
  /** Index of the kernel to call. */
  readonly kernel: number;
  readonly args: readonly number[];
}

/** Empty boxes for so many threads. Throws KernelError where there is no SharedArrayBuffer. */
export function createMailboxes(threads: number): SharedArrayBuffer {
  if (typeof SharedArrayBuffer === "undefined") {
    throw new KernelError("threads", { expected: "SharedArrayBuffer", got: "none here" });
  }
  const shared = new SharedArrayBuffer(threads * boxBytes);
  const words = new Int32Array(shared);
  // A thread's first answer, that it has started, is to command 0.
  for (let i = 0; i < threads; i++) words[i * (boxBytes / 4) + DONE] = -1;
  return shared;
}

/**
 * One thread's box. The engine posts a command and waits until it is done; the thread waits for the
 * next one and answers. Either side looks for a while before it sleeps, because waking takes longer
 * than many kernels do.
 */
export class Mailbox {
  readonly #words: Int32Array;
  readonly #text: Uint8Array;
  /** Where the engine writes the arguments of the command that it posts next. */
  readonly args: Float64Array;
  #ticket = 0;

  constructor(shared: SharedArrayBuffer, index: number) {
    const start = index * boxBytes;
    this.#words = new Int32Array(shared, start, argumentsAt / 4);
    this.args = new Float64Array(shared, start + argumentsAt, maxArguments);
    this.#text = new Uint8Array(shared, start + textAt, boxBytes - textAt);
  }

  /** Engine: hands over a command of which `count` arguments have been written. */
  post(kernel: number, count: number): void {
    this.#words[KERNEL] = kernel;
    this.#words[COUNT] = count;
    this.#ticket = (this.#ticket + 1) | 0;
    Atomics.store(this.#words, POSTED, this.#ticket);
    if (Atomics.load(this.#words, THREAD_SLEEPS) === 1) Atomics.notify(this.#words, POSTED);
  }

  /** Engine: whether the last command, or the start, was answered within so many milliseconds. */
  awaitAnswer(patienceMs: number): boolean {
    const before = (this.#ticket - 1) | 0;
    return awaitChange(this.#words, DONE, before, ENGINE_SLEEPS, patienceMs);
  }

  /** Engine: why the answered command failed, or null when it did not. */
  get failure(): string | null {
    if (Atomics.load(this.#words, FAILED) === 0) return null;
    // A decoder takes no shared memory.
    return Buffer.from(this.#text.slice(0, this.#words[TEXT_LENGTH])).toString();
  }

  /** Thread: sleeps until there is a command. */
  next(): Command {
    awaitChange(this.#words, POSTED, this.#ticket, THREAD_SLEEPS, Infinity);
    this.#ticket = Atomics.load(this.#words, POSTED);
    const args = Array.from(this.args.subarray(0, this.#words[COUNT]));
    return { kernel: this.#words[KERNEL] as number, args };
  }

  /** Thread: answers the command; the first answer of all says that it has started. */
  answer(failure: string | null = null): void {
    if (failure !== null) {
      const text = Buffer.from(failure).subarray(0, this.#text.length);
      this.#text.set(text);
      this.#words[TEXT_LENGTH] = text.length;
      Atomics.store(this.#words, FAILED, 1);
    }
    Atomics.store(this.#words, DONE, this.#ticket);
    if (Atomics.load(this.#words, ENGINE_SLEEPS) === 1) Atomics.notify(this.#words, DONE);
  }
}

/** Whether words[at] became another value than `before` in time; words[sleeps] is 1 while it must be woken. */
function awaitChange(
  words: Int32Array,
  at: number,
  before: number,
  sleeps: number,
  patienceMs: number,
): boolean {
  for (let i = 0; i < looks; i++) if (Atomics.load(words, at) !== before) return true;
  Atomics.store(words, sleeps, 1);
  let result = "ok";
  // Who writes after the flag was set wakes us; who wrote before it changed the word, and we do not sleep.
  while (Atomics.load(words, at) === before && result !== "timed-out") {
    result = Atomics.wait(words, at, before, patienceMs);
  }
  Atomics.store(words, sleeps, 0);
  return Atomics.load(words, at) !== before;
}
