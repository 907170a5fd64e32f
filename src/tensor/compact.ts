/** Rows and columns taken out of a tensor where it lies; what they took of the memory is free again. */
import type { Engine } from "./engine.ts";
import { isStored, keepStoredCols, keepStoredRows } from "./storage/storages.ts";
import type { Tensor } from "./tensor.ts";

/** Keeps the rows of a matrix, or elements of a vector, at ascending indices. Not for tensors of a step. */
export function keepRows(engine: Engine, tensor: Tensor, rows: readonly number[]): void {
  if (rows.length === tensor.rows) return;
  if (isStored(tensor)) return keepStoredRows(engine, tensor, rows);
  const [, ...rest] = tensor.shape;
  const width = tensor.size / tensor.rows;
  const view = tensor.f32;
  rows.forEach((row, k) => view.copyWithin(k * width, row * width, (row + 1) * width));
  engine.shrink(tensor, [rows.length, ...rest]);
}

/** Keeps the columns of a matrix at ascending indices. Not for tensors of a step. */
export function keepCols(engine: Engine, tensor: Tensor, cols: readonly number[]): void {
  const { rows: M, cols: N } = tensor;
  if (cols.length === N) return;
  if (isStored(tensor)) return keepStoredCols(engine, tensor, cols);
  const view = tensor.f32;
  let at = 0;
  // Ascending indices: what is read lies behind what has been written.
  for (let row = 0; row < M; row++) {
    for (const col of cols) view[at++] = view[row * N + col] as number;
  }
  engine.shrink(tensor, [M, cols.length]);
}
