/** A tensor: a shape and an address in linear memory; it owns nothing and needs no disposal. */
import { shapeText, sizeOf } from "../base/arrays.ts";
import { bytesOf, scalesOffset, type BaseDtype } from "../base/base-dtype.ts";
import { ArenaError, ShapeError } from "../base/errors.ts";
import type { Arena, RegionName } from "./arena.ts";

/** Numbers to compute with, whole numbers for indices, and the formats that a frozen weight may have besides. */
export type DType = BaseDtype | "i32";

/** Row-major values at `ptr`; a format with scales has them behind the values. A step tensor is valid until its step ends; reading it later throws ArenaError. */
export class Tensor {
  readonly dtype: DType;
  readonly ptr: number;
  readonly region: RegionName;
  #requiresGrad = false;
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

  /** Whether gradients with respect to it are wanted; set on parameters. Throws ShapeError unless it is f32. */
  get requiresGrad(): boolean {
    return this.#requiresGrad;
  }

  set requiresGrad(wanted: boolean) {
    if (wanted && this.dtype !== "f32") {
      throw new ShapeError("tensor: no gradient for a weight that is stored to be frozen", {
        expected: "f32",
        got: `${this.dtype} ${shapeText(this.shape)}`,
        hint: "load the base in f32 to train its weights",
      });
    }
    this.#requiresGrad = wanted;
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

  /** `count` rows of a matrix of 4-byte elements, in the same memory. Throws ShapeError where it has fewer. */
  rowRange(first: number, count: number): Tensor {
    if (first < 0 || count < 0 || first + count > this.rows || this.shape.length !== 2) {
      throw new ShapeError("row range", {
        expected: `a matrix of at least ${first + count} rows`,
        got: shapeText(this.shape),
      });
    }
    const ptr = this.ptr + 4 * first * this.cols;
    return new Tensor(this.#arena, [count, this.cols], this.dtype, ptr, this.region);
  }

  /** What it takes of the memory. */
  get byteLength(): number {
    return byteLengthOf(this.shape, this.dtype);
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

/** Bytes of a tensor's values and scales. */
export function byteLengthOf(shape: readonly number[], dtype: DType): number {
  if (dtype === "f32" || dtype === "i32") return 4 * sizeOf(shape);
  const [rows, cols] = matrixSides(shape, dtype);
  return bytesOf(dtype, rows, cols);
}

/** Address of a stored weight's scales. */
export function scalesAt({ ptr, dtype, shape }: Tensor): number {
  if (dtype === "f32" || dtype === "i32") return ptr;
  const [rows, cols] = matrixSides(shape, dtype);
  return ptr + scalesOffset(dtype, rows, cols);
}

function matrixSides(shape: readonly number[], dtype: DType): readonly [number, number] {
  const [rows, cols, ...rest] = shape;
  if (rows !== undefined && cols !== undefined && rest.length === 0) return [rows, cols];
  throw new ShapeError("tensor: only matrices are stored in few bits", {
    expected: "[rows, cols]",
    got: `${dtype} ${shapeText(shape)}`,
  });
}
