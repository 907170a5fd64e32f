/** The number formats of frozen weights besides f32, and what is done alike with all of them. */
import { scalesOffset } from "../../base/base-dtype.ts";
import { KernelError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { scalesAt, type Tensor } from "../tensor.ts";
import { f16 } from "./f16.ts";
import { int4 } from "./int4.ts";
import { int8 } from "./int8.ts";
import type { Storage } from "./storage.ts";

const storages: readonly Storage[] = [f16, int8, int4];

/** How a weight is stored. Throws KernelError for f32 and i32, which are read as they lie. */
export function storageOf({ dtype }: Tensor): Storage {
  const storage = storages.find((each) => each.dtype === dtype);
  if (storage !== undefined) return storage;
  throw new KernelError("storage: no format of stored weights", {
    expected: storages.map((each) => each.dtype).join(", "),
    got: dtype,
  });
}

/** Whether the tensor is a weight in a format of this folder. */
export function isStored({ dtype }: Tensor): boolean {
  return dtype !== "f32" && dtype !== "i32";
}

/** Rows of a stored table by number as f32 at address `out`, one after another. */
export function gatherStored(
  engine: Engine,
  table: Tensor,
  ids: ArrayLike<number>,
  out: number,
): void {
  const storage = storageOf(table);
  for (let i = 0; i < ids.length; i++) {
    storage.decodeRows(engine, table, ids[i] as number, 1, out + 4 * i * table.cols);
  }
}

/** Stores whole rows from `first` on; what lies in the weight's other rows stays. */
export function storeRows(
  engine: Engine,
  weight: Tensor,
  first: number,
  values: Float32Array,
): void {
  const { cols } = weight;
  engine.step(() => {
    const staged = engine.empty([values.length / cols, cols]);
    staged.f32.set(values);
    storageOf(weight).encodeRows(engine, weight, first, staged.rows, staged.ptr);
  });
}

/** A copy of a matrix' values, whatever its format: what the products multiply by. */
export function numbersOf(engine: Engine, tensor: Tensor): Float32Array {
  if (!isStored(tensor)) return tensor.toHost();
  return engine.step(() => {
    const values = engine.empty(tensor.shape);
    storageOf(tensor).decodeRows(engine, tensor, 0, tensor.rows, values.ptr);
    return values.toHost();
  });
}

/** Keeps the rows at ascending indices and returns the rest of the memory. */
export function keepStoredRows(engine: Engine, weight: Tensor, rows: readonly number[]): void {
  const { ptr, cols } = weight;
  const storage = storageOf(weight);
  const bytes = new Uint8Array(engine.arena.memory.buffer);
  const pick = (from: number, to: number, width: number): void =>
    rows.forEach((row, k) => {
      bytes.copyWithin(to + k * width, from + row * width, from + (row + 1) * width);
    });
  pick(ptr, ptr, storage.valueBytesPerRow(cols));
  const to = ptr + scalesOffset(storage.dtype, rows.length, cols);
  pick(scalesAt(weight), to, storage.scaleBytesPerRow(cols));
  engine.shrink(weight, [rows.length, cols]);
}

/** Keeps the columns at ascending indices and returns the rest of the memory. */
export function keepStoredCols(engine: Engine, weight: Tensor, cols: readonly number[]): void {
  const mark = engine.arena.mark();
  storageOf(weight).keepCols(engine, weight, cols);
  engine.arena.release(mark);
  engine.shrink(weight, [weight.rows, cols.length]);
}
