/** One linear memory for tensors: weights and state are freed one by one, what a step makes as soon as nobody needs it, at the latest when it ends. */
import { ArenaError } from "../base/errors.ts";
import { BlockTable, FREE } from "./block-table.ts";

export type RegionName = "weights" | "state" | "step";

/** Bytes in use now and at most so far, per region; `memoryBytes` is the size of the linear memory. */
export interface ArenaStats {
  readonly weights: number;
  readonly state: number;
  readonly step: number;
  readonly weightsPeak: number;
  readonly statePeak: number;
  readonly stepPeak: number;
  readonly memoryBytes: number;
}

/** A moment that {@link Arena.release} and {@link Arena.sweep} go back to. */
export type StepMark = number;

const PAGE_BYTES = 65536;
/** One cache line: aligned vectors, and no two tensors share a line. Addresses in the table count these. */
const LINE_BYTES = 64;
/** Memory is never grown by less, so that a first step does not grow it a hundred times. */
const GROWTH_BYTES = 1 << 20;

const kindOf = { weights: 1, state: 2, step: 3 } as const satisfies Record<RegionName, number>;
const STEP = kindOf.step;

/** Small integers as long as it can: divisions would make a number on the heap for each tensor. */
const linesOf = (bytes: number): number =>
  bytes < 2 ** 31 - LINE_BYTES
    ? Math.max(1, (bytes + LINE_BYTES - 1) >> 6)
    : Math.ceil(bytes / LINE_BYTES);

export class Arena {
  readonly memory: WebAssembly.Memory;
  /** Number of allocations so far. */
  generation = 0;
  readonly #firstLine: number;
  #blocks: BlockTable;
  /** Lines in use, by kind. */
  readonly #used = [0, 0, 0, 0];
  readonly #peak = [0, 0, 0, 0];

  /** `heapBase`: first byte above the static data of the kernel module. */
  constructor(memory: WebAssembly.Memory, heapBase: number) {
    this.memory = memory;
    this.#firstLine = linesOf(heapBase);
    this.#blocks = new BlockTable(this.#firstLine);
  }

  /** Forgets every block, so that the same memory serves again; whoever still holds one must not use it. */
  clear(): void {
    this.#blocks = new BlockTable(this.#firstLine);
    this.#used.fill(0);
    this.resetPeaks();
  }

  get stats(): ArenaStats {
    const bytes = (lines: readonly number[], region: RegionName): number =>
      LINE_BYTES * (lines[kindOf[region]] as number);
    return {
      weights: bytes(this.#used, "weights"),
      state: bytes(this.#used, "state"),
      step: bytes(this.#used, "step"),
      weightsPeak: bytes(this.#peak, "weights"),
      statePeak: bytes(this.#peak, "state"),
      stepPeak: bytes(this.#peak, "step"),
      memoryBytes: this.memory.buffer.byteLength,
    };
  }

  resetPeaks(): void {
    this.#used.forEach((lines, kind) => (this.#peak[kind] = lines));
  }

  /** Address of `bytes` fresh bytes, 64-byte aligned, contents undefined. Throws ArenaError when memory ends. */
  allocate(region: RegionName, bytes: number): number {
    const lines = linesOf(bytes);
    const kind = kindOf[region];
    let row = this.#blocks.bestFit(lines);
    if (row < 0) {
      this.#extend(lines, region);
      row = this.#blocks.length - 1;
    }
    this.#blocks.take(row, lines, kind, ++this.generation);
    const used = (this.#used[kind] as number) + lines;
    this.#used[kind] = used;
    if (used > (this.#peak[kind] as number)) this.#peak[kind] = used;
    return LINE_BYTES * this.#blocks.start(row);
  }

  /** Gives a block back that nobody holds. */
  free(address: number): void {
    this.#free(this.#rowAt(address));
  }

  /** Keeps the first `bytes` of a block and returns the rest. */
  shrink(address: number, bytes: number): void {
    const row = this.#rowAt(address);
    const kind = this.#blocks.kind(row);
    const [before, after] = [this.#blocks.size(row), linesOf(bytes)];
    if (after > before) {
      throw new ArenaError("arena: a block cannot grow in place", {
        expected: `at most ${LINE_BYTES * before} bytes`,
        got: String(bytes),
      });
    }
    if (after === before) return;
    this.#blocks.split(row, after);
    this.#blocks.free(row + 1);
    this.#used[kind] = (this.#used[kind] as number) - before + after;
  }

  /** Whether step memory at `address`, seen when `generation` allocations were made, has been given back since. */
  isReleased(address: number, generation: number): boolean {
    const row = this.#blocks.rowOf(Math.floor(address / LINE_BYTES));
    if (row < 0 || this.#blocks.kind(row) !== STEP) return true;
    return this.#blocks.birth(row) > generation;
  }

  mark(): StepMark {
    return this.generation;
  }

  /** Gives back everything that was allocated in the step region since the mark, whoever holds it. */
  release(mark: StepMark): void {
    this.#freeSince(mark, -1, true);
  }

  /**
   * Gives back what was allocated in the step region since the mark and nobody holds. What is held goes with the
   * last hold; the block at `exceptAddress` stays.
   */
  sweep(mark: StepMark, exceptAddress = -1): void {
    this.#freeSince(mark, exceptAddress, false);
  }

  /** Leaves a step block to those who hold it: it goes with the last hold, at once when there is none. */
  leave(address: number): void {
    const row = this.#stepRowAt(address);
    if (this.#blocks.holds(row) === 0) this.#free(row);
    else this.#blocks.leave(row);
  }

  /** Keeps a step block for one more who needs it. */
  hold(address: number): void {
    const row = this.#stepRowAt(address);
    this.#blocks.setHolds(row, this.#blocks.holds(row) + 1);
  }

  /** Ends one hold. */
  letGo(address: number): void {
    const row = this.#stepRowAt(address);
    const holds = this.#blocks.holds(row) - 1;
    if (holds === 0 && this.#blocks.isLeft(row)) this.#free(row);
    else this.#blocks.setHolds(row, holds);
  }

  /** How many hold a step block. */
  holdsOf(address: number): number {
    return this.#blocks.holds(this.#stepRowAt(address));
  }

  #freeSince(mark: StepMark, exceptAddress: number, takesHeld: boolean): void {
    const blocks = this.#blocks;
    const except = exceptAddress / LINE_BYTES;
    let freed = 0;
    for (let row = 0; row < blocks.length; row++) {
      if (blocks.kind(row) !== STEP || blocks.birth(row) <= mark) continue;
      if (blocks.start(row) === except) continue;
      if (!takesHeld && blocks.holds(row) > 0) {
        blocks.leave(row);
        continue;
      }
      freed += blocks.size(row);
      blocks.freeAlone(row);
    }
    if (freed === 0) return;
    blocks.join();
    this.#used[STEP] = (this.#used[STEP] as number) - freed;
  }

  #free(row: number): void {
    const kind = this.#blocks.kind(row);
    this.#used[kind] = (this.#used[kind] as number) - this.#blocks.size(row);
    this.#blocks.free(row);
  }

  /** The row of the block that begins at an address. */
  #rowAt(address: number): number {
    const line = address / LINE_BYTES;
    const row = this.#blocks.rowOf(line);
    if (row >= 0 && this.#blocks.start(row) === line && this.#blocks.kind(row) !== FREE) return row;
    throw new ArenaError("arena: no block was allocated at this address", { got: String(address) });
  }

  /** The row of the step block that an address lies in. */
  #stepRowAt(address: number): number {
    const row = this.#blocks.rowOf(Math.floor(address / LINE_BYTES));
    if (row >= 0 && this.#blocks.kind(row) === STEP) return row;
    throw new ArenaError("arena: no block of the step is at this address", {
      got: String(address),
    });
  }

  /** Makes the last block a free one of at least `lines`. */
  #extend(lines: number, region: RegionName): void {
    const blocks = this.#blocks;
    const last = blocks.length - 1;
    const atEnd = last >= 0 && blocks.kind(last) === FREE ? blocks.size(last) : 0;
    const missing = lines - atEnd;
    const end = LINE_BYTES * (blocks.end + missing);
    const beyond = end - this.memory.buffer.byteLength;
    if (beyond > 0) this.#grow(beyond, region);
    blocks.extend(missing);
  }

  #grow(missingBytes: number, region: RegionName): void {
    const pages = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES);
    try {
      this.memory.grow(pages(Math.max(missingBytes, GROWTH_BYTES)));
      return;
    } catch {
      // Near the end of what there is, the least that is needed may still fit.
    }
    try {
      this.memory.grow(pages(missingBytes));
    } catch (cause) {
      throw new ArenaError("arena: out of linear memory", {
        expected: `${missingBytes} more bytes for the ${region} region`,
        got: `${this.memory.buffer.byteLength} bytes in use`,
        hint: "use a smaller batch, a shorter length, recomputation or a smaller model",
        cause,
      });
    }
  }
}
