/** A tensor: a shape and an address in linear memory; it owns nothing and needs no disposal. */
import { shapeText, sizeOf } from "../base/arrays.ts";
import { ArenaError, ShapeError } from "../base/errors.ts";
import type { Arena, RegionName } from "./arena.ts";

export type DType = "f32" | "i32";

/** Row-major values at `ptr`. A step tensor is valid until its step ends; reading it later throws ArenaError. */
export class Tensor {
  readonly dtype: DType;
  readonly ptr: number;
  readonly region: RegionName;
  /** Whether gradients with respect to it are wanted; set on parameters. */
  requiresGrad = false;
  #shape: readonly number[];
  readonly #arena: Arena;
  readonly #generation: number;

  constructor(
    arena: Arena,
    shape: readonly number[],
    dtype: DType,
    ptr: number,
    region: RegionName,
  ) {
    this.#arena = arena;
    this.#shape = shape;
    this.dtype = dtype;
    this.ptr = ptr;
    this.region = region;
    this.#generation = arena.generation;
  }

  get shape(): readonly number[] {
    return this.#shape;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Length of the leading dimension: rows of a matrix. */
  get rows(): number {
    return this.shape[0] ?? 1;
  }

  /** Length of the last dimension. */
  get cols(): number {
    return this.shape[this.shape.length - 1] ?? 1;
  }

  /** A live view of the values; any later allocation may detach it, so use it at once. */
  get f32(): Float32Array {
    this.#assertReadable("f32");
    return new Float32Array(this.#arena.memory.buffer, this.ptr, this.size);
  }

  get i32(): Int32Array {
    this.#assertReadable("i32");
    return new Int32Array(this.#arena.memory.buffer, this.ptr, this.size);
  }

  /** A copy of the values that outlives the step. */
  toHost(): Float32Array {
    return this.f32.slice();
  }

  /** The same memory under another shape of equal size. */
  reshape(shape: readonly number[]): Tensor {
    if (sizeOf(shape) !== this.size) {
      throw new ShapeError("reshape", {
        expected: `${this.size} elements`,
        got: shapeText(shape),
      });
    }
    return new Tensor(this.#arena, shape, this.dtype, this.ptr, this.region);
  }

  /** Forgets all but the first elements. {@link Engine.shrink} calls it and gives the memory back. */
  shrink(shape: readonly number[]): void {
    if (sizeOf(shape) > this.size) {
      throw new ShapeError("shrink", {
        expected: `at most ${this.size} elements`,
        got: shapeText(shape),
      });
    }
    this.#shape = shape;
  }

  #assertReadable(dtype: DType): void {
    if (this.dtype !== dtype) {
      throw new ShapeError("tensor: wrong element type", { expected: this.dtype, got: dtype });
    }
    if (this.region === "step" && this.#arena.isReleased(this.ptr, this.#generation)) {
      throw new ArenaError("tensor: used after its step", {
        got: `a step tensor ${shapeText(this.shape)}`,
        hint: "copy what must outlive the step with toHost()",
      });
    }
  }
}
