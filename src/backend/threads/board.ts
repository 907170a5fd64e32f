/**
 * The shared memory through which an engine lets its threads help with a call. The engine posts one call
 * at a time, and whoever is free takes its shares one after another, the engine too: a thread that the
 * system runs late, or a slow core, takes fewer.
 */
import { KernelError } from "../../base/errors.ts";

/** Positions of 32-bit words; those that many write are a line of the cache apart. */
const POSTED = 0;
const SLEEPING = 1;
const NEXT_SHARE = 16;
const INSIDE = 32;
const ENGINE_SLEEPS = 33;
const STARTED = 34;
const FAILED = 35;
const TEXT_LENGTH = 36;
const KERNEL = 48;
const SPLIT = 49;
const SHARES = 50;
const LONG_SHARES = 51;
const STRIDE = 52;
const COUNT = 53;
const words = 64;
const maxArguments = 32;
const textBytes = 512;

/** No call has so many shares: there is nothing to take. */
const CLOSED = 1 << 30;

/** Looks before sleeping, about 50 microseconds: longer than the work between two kernels of a training step. */
const LOOKS = 12_000;

/** A call that is shared out. */
export interface SharedCall {
  /** Index of the kernel, and of the division among those that the kernel has. */
  readonly kernel: number;
  readonly split: number;
  readonly shares: number;
  /** So many of them, the first ones, are three times as long as the others. */
  readonly longShares: number;
  /** Bytes from one thread's part of the scratch argument to the next. */
  readonly scratchStride: number;
  readonly args: readonly number[];
}

/** Memory for a board. Throws KernelError where there is no SharedArrayBuffer. */
export function createBoardMemory(): SharedArrayBuffer {
  if (typeof SharedArrayBuffer === "undefined") {
    throw new KernelError("threads", { expected: "SharedArrayBuffer", got: "none here" });
  }
  const memory = new SharedArrayBuffer(4 * words + 8 * maxArguments + textBytes);
  new Int32Array(memory)[NEXT_SHARE] = CLOSED;
  return memory;
}

/** One side's view of the board. */
export class Board {
  readonly #words: Int32Array;
  readonly #args: Float64Array;
  readonly #text: Uint8Array;
  /** The last call seen. */
  #ticket = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, words);
    this.#args = new Float64Array(memory, 4 * words, maxArguments);
    this.#text = new Uint8Array(memory, 4 * words + 8 * maxArguments, textBytes);
  }

  /** Engine: offers a call; the one before must be over. */
  post({ kernel, split, shares, longShares, scratchStride, args }: SharedCall): void {
    const board = this.#words;
    board[KERNEL] = kernel;
    board[SPLIT] = split;
    board[SHARES] = shares;
    board[LONG_SHARES] = longShares;
    board[STRIDE] = scratchStride;
    board[COUNT] = args.length;
    this.#args.set(args);
    Atomics.store(board, NEXT_SHARE, 0);
    Atomics.add(board, POSTED, 1);
    if (Atomics.load(board, SLEEPING) > 0) Atomics.notify(board, POSTED, shares - 1);
  }

  /** Number of a share that is now the caller's, or null when all are taken. */
  takeShare(): number | null {
    const share = Atomics.add(this.#words, NEXT_SHARE, 1);
    // Threads ask inside, and while one is inside no other call is written: this is the number of the same call.
    return share < CLOSED && share < (this.#words[SHARES] as number) ? share : null;
  }

  /** Engine: hands out no more shares; whether those taken were done within so many milliseconds. */
  awaitDone(patienceMs: number): boolean {
    // Closed first: whoever asks after we have seen nobody inside gets nothing, also while the next call is written.
    Atomics.store(this.#words, NEXT_SHARE, CLOSED);
    return this.#awaitWord(INSIDE, 0, patienceMs);
  }

  /** Engine: whether so many threads stood by within so many milliseconds. */
  awaitStart(threads: number, patienceMs: number): boolean {
    return this.#awaitWord(STARTED, threads, patienceMs);
  }

  /** Engine: why a share failed, or null when none did. */
  get failure(): string | null {
    if (Atomics.load(this.#words, FAILED) === 0) return null;
    return Buffer.from(this.#text.slice(0, this.#words[TEXT_LENGTH])).toString();
  }

  /** Thread: says that it stands by. */
  announce(): void {
    Atomics.add(this.#words, STARTED, 1);
    this.#wakeEngine(STARTED);
  }

  /** Thread: sleeps until there is a call that it has not seen. */
  awaitCall(): void {
    const board = this.#words;
    let posted = this.#ticket;
    for (let i = 0; i < LOOKS && posted === this.#ticket; i++) posted = Atomics.load(board, POSTED);
    while (posted === this.#ticket) {
      Atomics.add(board, SLEEPING, 1);
      // Who posts after the line above wakes us; who posted before it changed the word, and we do not sleep.
      Atomics.wait(board, POSTED, this.#ticket);
      Atomics.sub(board, SLEEPING, 1);
      posted = Atomics.load(board, POSTED);
    }
    this.#ticket = posted;
  }

  /** Thread: between these two calls it may take shares, and the engine waits for it. */
  enter(): void {
    Atomics.add(this.#words, INSIDE, 1);
  }

  leave(): void {
    Atomics.sub(this.#words, INSIDE, 1);
    this.#wakeEngine(INSIDE);
  }

  /** Thread: the call of which it has taken a share. */
  read(): SharedCall {
    const board = this.#words;
    const word = (at: number): number => board[at] as number;
    return {
      kernel: word(KERNEL),
      split: word(SPLIT),
      shares: word(SHARES),
      longShares: word(LONG_SHARES),
      scratchStride: word(STRIDE),
      args: Array.from(this.#args.subarray(0, word(COUNT))),
    };
  }

  /** Thread: reports why it cannot do its share. */
  fail(message: string): void {
    const text = Buffer.from(message).subarray(0, textBytes);
    this.#text.set(text);
    this.#words[TEXT_LENGTH] = text.length;
    Atomics.store(this.#words, FAILED, 1);
  }

  #wakeEngine(at: number): void {
    if (Atomics.load(this.#words, ENGINE_SLEEPS) === 1) Atomics.notify(this.#words, at);
  }

  #awaitWord(at: number, wanted: number, patienceMs: number): boolean {
    const board = this.#words;
    for (let i = 0; i < LOOKS; i++) if (Atomics.load(board, at) === wanted) return true;
    Atomics.store(board, ENGINE_SLEEPS, 1);
    let result = "ok";
    for (;;) {
      const now = Atomics.load(board, at);
      if (now === wanted || result === "timed-out") break;
      result = Atomics.wait(board, at, now, patienceMs);
    }
    Atomics.store(board, ENGINE_SLEEPS, 0);
    return Atomics.load(board, at) === wanted;
  }
}
