/** The engine: kernels over one linear memory, and steps whose temporaries vanish together. */
import type { HostArray } from "../base/arrays.ts";
import type { Kernels } from "../backend/kernels.ts";
import type { ThreadChoice } from "../backend/threads/load.ts";
import { loadKernels, type KernelVariant, type StartedKernels } from "../backend/wasm.ts";
import { Arena, type ArenaStats, type RegionName } from "./arena.ts";
import { byteLengthOf, Tensor, type DType } from "./tensor.ts";

export interface EngineOptions {
  /** "simd" (default) gives the same bits on every CPU; "auto" prefers fused multiply-add where it runs. */
  readonly kernels?: KernelVariant | "auto";
  /** Threads to compute on, 1 by default; the same bits for any number. One where they cannot be had. */
  readonly threads?: ThreadChoice;
}

export class Engine {
  readonly kernels: Kernels;
  readonly arena: Arena;
  /** The module that runs, and why it was chosen. */
  readonly variant: KernelVariant;
  readonly reason: string;
  /** How many compute, the calling one among them. */
  readonly threads: number;
  readonly #endThreads: () => void;

  private constructor({ kernels, memory, variant, reason, threads, dispose }: StartedKernels) {
    this.kernels = kernels;
    this.arena = new Arena(memory, kernels.heapBase());
    this.variant = variant;
    this.reason = reason;
    this.threads = threads;
    this.#endThreads = dispose;
  }

  /** Throws KernelError when the machine cannot run the module asked for. */
  static create(options: EngineOptions = {}): Engine {
    const { kernels = "simd", threads = 1 } = options;
    return new Engine(loadKernels({ variant: kernels, threads }));
  }

  /** Ends the engine's threads; without any there is nothing to do, and unused ones do not keep a process alive. */
  dispose(): void {
    this.#endThreads();
  }

  get stats(): ArenaStats {
    return this.arena.stats;
  }

  /** Runs `action`; every step tensor made inside is gone afterwards. Scopes nest. */
  step<T>(action: () => T): T {
    const mark = this.arena.mark();
    try {
      return action();
    } finally {
      this.arena.release(mark);
    }
  }

  /** A new tensor with undefined contents, in the step region unless told otherwise. */
  empty(shape: readonly number[], region: RegionName = "step", dtype: DType = "f32"): Tensor {
    const ptr = this.arena.allocate(region, byteLengthOf(shape, dtype));
    return new Tensor(this.arena, shape, dtype, ptr, region);
  }

  zeros(shape: readonly number[], region: RegionName = "step"): Tensor {
    const tensor = this.empty(shape, region);
    this.kernels.fillF32(tensor.ptr, 0, tensor.size);
    return tensor;
  }

  fromHost(host: HostArray, region: RegionName = "step"): Tensor {
    const tensor = this.empty(host.shape, region);
    tensor.f32.set(host.data);
    return tensor;
  }

  /** Whole numbers for indices and labels, shape [values.length]. */
  integers(values: ArrayLike<number>, region: RegionName = "step"): Tensor {
    const tensor = this.empty([values.length], region, "i32");
    tensor.i32.set(values);
    return tensor;
  }

  /** Scratch bytes for a kernel, valid until the step ends. */
  scratch(bytes: number): number {
    return this.arena.allocate("step", bytes);
  }

  /** Keeps the first elements of a weights or state tensor, under a smaller shape, and gives the rest back. */
  shrink(tensor: Tensor, shape: readonly number[]): void {
    tensor.shrink(shape);
    this.arena.shrink(tensor.ptr, tensor.byteLength);
  }

  /** Forgets every tensor: for one model after another in the same memory. None of the earlier tensors may be used again. */
  clear(): void {
    this.arena.clear();
  }

  /** Gives a weights or state tensor's memory back; the tensor must not be used again. */
  free(tensor: Tensor): void {
    this.arena.free(tensor.ptr);
  }
}
