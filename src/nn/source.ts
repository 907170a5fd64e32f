/** Where parameters come from, and how their values get into engine memory: a block of rows at a time. */
import { sizeOf, takeCols, takeRows, type HostArray } from "../base/arrays.ts";
import type { Engine } from "../tensor/engine.ts";
import { isStored, storeRows } from "../tensor/storage/storages.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** One tensor of a source; nothing is read before it is asked for. */
export interface SourceTensor {
  readonly shape: readonly number[];
  /** Fills `target` with the values from element `first` on. */
  read(first: number, target: Float32Array): void;
}

export interface ParameterSource {
  /** Says in errors where the names were looked for. */
  readonly origin: string;
  /** Undefined when this source lacks the name. */
  open(name: string): SourceTensor | undefined;
}

/** Ascending indices of what is left of a parameter; an absent side is whole. */
export interface Kept {
  readonly rows?: readonly number[];
  readonly cols?: readonly number[];
}

/** Numbers that are read at a time where they cannot go to their place at once: 256 KiB. */
const BLOCK_NUMBERS = 65536;

/** A tensor whose values are there already. */
export function inMemory({ shape, data }: HostArray): SourceTensor {
  return {
    shape,
    read: (first, target) => target.set(data.subarray(first, first + target.length)),
  };
}

/** What is left of a shape. */
export function keptShape(shape: readonly number[], kept: Kept | undefined): readonly number[] {
  const [rows, ...rest] = shape;
  if (rows === undefined) return shape;
  return [kept?.rows?.length ?? rows, ...(kept?.cols === undefined ? rest : [kept.cols.length])];
}

/** Fills a tensor of the kept shape, in whatever format it is stored; f32 values that stay whole are read into place. */
export function fillTensor(
  engine: Engine,
  tensor: Tensor,
  whole: SourceTensor,
  kept: Kept | undefined,
): void {
  if (kept === undefined && !isStored(tensor)) return whole.read(0, tensor.f32);
  const [height = 1, ...rest] = whole.shape;
  const width = sizeOf(rest);
  const blockRows = Math.max(1, Math.floor(BLOCK_NUMBERS / Math.max(1, width)));
  const room = new Float32Array(Math.min(height, blockRows) * width);
  let row = 0;
  for (let first = 0; first < height; first += blockRows) {
    const count = Math.min(blockRows, height - first);
    const block = { shape: [count, ...rest], data: room.subarray(0, count * width) };
    whole.read(first * width, block.data);
    const left = cutBlock(block, first, kept);
    if (left.data.length === 0) continue;
    if (isStored(tensor)) storeRows(engine, tensor, row, left.data);
    else tensor.f32.set(left.data, (row * tensor.size) / tensor.rows);
    row += left.shape[0] ?? 0;
  }
}

/** What is left of the rows from `first` on. */
function cutBlock(block: HostArray, first: number, kept: Kept | undefined): HostArray {
  const end = first + (block.shape[0] ?? 0);
  let left = block;
  if (kept?.rows !== undefined) {
    const rows = kept.rows.filter((row) => row >= first && row < end).map((row) => row - first);
    left = takeRows(left, rows);
  }
  return kept?.cols === undefined ? left : takeCols(left, kept.cols);
}
