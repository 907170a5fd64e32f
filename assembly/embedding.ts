/** Rows of a table by number, and their gradient. */
import { map2 } from "./loops";
import { Add } from "./ops";

/** out[rows,cols]: row r is row ids[r] (i32, not checked against the table) of table[*,cols]. */
export function gatherRowsF32(out: usize, table: usize, ids: usize, rows: i32, cols: i32): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++, out += bytes) {
    memory.copy(out, table + rowOf(ids, r) * bytes, bytes);
  }
}

/** dTable[ids[r]] += dOut[r] for the rows in ascending order. */
export function scatterAddRowsF32(
  dTable: usize,
  dOut: usize,
  ids: usize,
  rows: i32,
  cols: i32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++, dOut += bytes) {
    const target = dTable + rowOf(ids, r) * bytes;
    map2<Add>(target, target, dOut, cols);
  }
}

// @ts-ignore: decorator
@inline
function rowOf(ids: usize, r: i32): usize {
  const id = load<i32>(ids + ((<usize>r) << 2));
  assert(id >= 0);
  return <usize>id;
}
