/** One linear memory in three regions: weights and state are freed block by block, the step region all at once. */
import { ArenaError } from "../base/errors.ts";

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

/** A position in the step region that {@link Arena.release} returns to. */
export interface StepMark {
  readonly extent: number;
  readonly used: number;
  readonly bytes: number;
}

interface Extent {
  start: number;
  end: number;
  used: number;
}

const PAGE_BYTES = 65536;
/** One cache line: aligned vectors, and no two tensors share a line. */
const ALIGN_BYTES = 64;
const STEP_GROWTH_BYTES = 1 << 20;

const alignUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

export class Arena {
  readonly memory: WebAssembly.Memory;
  /** Grows by one with every release of step memory. */
  generation = 0;
  readonly #start: number;
  #top: number;
  /** Freed blocks of the weights and state regions, sorted by address, never adjacent. */
  #free: { start: number; end: number }[] = [];
  readonly #blocks = new Map<number, { bytes: number; region: RegionName }>();
  readonly #extents: Extent[] = [];
  #current = 0;
  readonly #used = { weights: 0, state: 0, step: 0 };
  readonly #peak = { weights: 0, state: 0, step: 0 };

  /** `heapBase`: first byte above the static data of the kernel module. */
  constructor(memory: WebAssembly.Memory, heapBase: number) {
    this.memory = memory;
    this.#start = alignUp(heapBase, ALIGN_BYTES);
    this.#top = this.#start;
  }

  /** Forgets every block and step tensor, so that the same memory serves again; whoever still holds one must not use it. */
  clear(): void {
    this.#top = this.#start;
    this.#free = [];
    this.#blocks.clear();
    this.#extents.length = 0;
    this.#current = 0;
    Object.assign(this.#used, { weights: 0, state: 0, step: 0 });
    this.resetPeaks();
    this.generation++;
  }

  get stats(): ArenaStats {
    return {
      ...this.#used,
      weightsPeak: this.#peak.weights,
      statePeak: this.#peak.state,
      stepPeak: this.#peak.step,
      memoryBytes: this.memory.buffer.byteLength,
    };
  }

  resetPeaks(): void {
    Object.assign(this.#peak, this.#used);
  }

  /** Address of `bytes` fresh bytes, 64-byte aligned, contents undefined. Throws ArenaError when memory ends. */
  allocate(region: RegionName, bytes: number): number {
    const size = alignUp(Math.max(bytes, 1), ALIGN_BYTES);
    const address =
      region === "step" ? this.#allocateStep(size) : this.#allocateBlock(region, size);
    this.#used[region] += size;
    this.#peak[region] = Math.max(this.#peak[region], this.#used[region]);
    return address;
  }

  /** Returns a block of the weights or state region. */
  free(address: number): void {
    const block = this.#blockAt(address);
    this.#blocks.delete(address);
    this.#used[block.region] -= block.bytes;
    this.#insertFree(address, address + block.bytes);
  }

  /** Keeps the first `bytes` of a block of the weights or state region and returns the rest. */
  shrink(address: number, bytes: number): void {
    const block = this.#blockAt(address);
    const size = alignUp(Math.max(bytes, 1), ALIGN_BYTES);
    if (size > block.bytes) {
      throw new ArenaError("arena: a block cannot grow in place", {
        expected: `at most ${block.bytes} bytes`,
        got: String(bytes),
      });
    }
    if (size === block.bytes) return;
    this.#insertFree(address + size, address + block.bytes);
    this.#used[block.region] -= block.bytes - size;
    block.bytes = size;
  }

  #blockAt(address: number): { bytes: number; readonly region: RegionName } {
    const block = this.#blocks.get(address);
    if (block !== undefined) return block;
    throw new ArenaError("arena: no block was allocated at this address", { got: String(address) });
  }

  /** Whether step memory at `address`, handed out in `generation`, has been given back since. */
  isReleased(address: number, generation: number): boolean {
    if (generation === this.generation) return false;
    const extent = this.#extents.find((e) => address >= e.start && address < e.end);
    return extent === undefined || address >= extent.start + extent.used;
  }

  mark(): StepMark {
    return {
      extent: this.#current,
      used: this.#extents[this.#current]?.used ?? 0,
      bytes: this.#used.step,
    };
  }

  /** Gives back everything allocated in the step region since the mark. */
  release(mark: StepMark): void {
    for (let i = mark.extent + 1; i < this.#extents.length; i++) {
      (this.#extents[i] as Extent).used = 0;
    }
    const extent = this.#extents[mark.extent];
    if (extent !== undefined) extent.used = mark.used;
    this.#current = mark.extent;
    this.#used.step = mark.bytes;
    this.generation++;
  }

  #allocateStep(size: number): number {
    for (let i = this.#current; i < this.#extents.length; i++) {
      const extent = this.#extents[i] as Extent;
      if (extent.start + extent.used + size <= extent.end) {
        this.#current = i;
        extent.used += size;
        return extent.start + extent.used - size;
      }
    }
    const last = this.#extents.at(-1);
    if (last !== undefined && last.end === this.#top) {
      const missing = last.start + last.used + size - last.end;
      this.#reserve(alignUp(Math.max(missing, STEP_GROWTH_BYTES), ALIGN_BYTES), "step");
      last.end = this.#top;
      this.#current = this.#extents.length - 1;
      last.used += size;
      return last.start + last.used - size;
    }
    const start = this.#reserve(alignUp(Math.max(size, STEP_GROWTH_BYTES), PAGE_BYTES), "step");
    this.#extents.push({ start, end: this.#top, used: size });
    this.#current = this.#extents.length - 1;
    return start;
  }

  #allocateBlock(region: RegionName, size: number): number {
    let start: number;
    const index = this.#free.findIndex((hole) => hole.end - hole.start >= size);
    const hole = this.#free[index];
    if (hole === undefined) {
      start = this.#reserve(size, region);
    } else {
      start = hole.start;
      hole.start += size;
      if (hole.start === hole.end) this.#free.splice(index, 1);
    }
    this.#blocks.set(start, { bytes: size, region });
    return start;
  }

  #insertFree(start: number, end: number): void {
    const index = this.#free.findIndex((hole) => hole.start > start);
    this.#free.splice(index < 0 ? this.#free.length : index, 0, { start, end });
    const merged: { start: number; end: number }[] = [];
    for (const hole of this.#free) {
      const last = merged.at(-1);
      if (last !== undefined && last.end === hole.start) last.end = hole.end;
      else merged.push(hole);
    }
    this.#free = merged;
  }

  /** Moves the top of memory up by `bytes` and returns the old top. */
  #reserve(bytes: number, region: RegionName): number {
    const start = this.#top;
    const missing = start + bytes - this.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / PAGE_BYTES));
      } catch (cause) {
        throw new ArenaError("arena: out of linear memory", {
          expected: `${bytes} more bytes for the ${region} region`,
          got: `${this.memory.buffer.byteLength} bytes in use`,
          hint: "use a smaller batch, a shorter length or a smaller model",
          cause,
        });
      }
    }
    this.#top = start + bytes;
    return start;
  }
}
