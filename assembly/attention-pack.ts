/** Packing for the tiles of attention: rows side by side for products over the head size, columns for sums over rows. */
import { PANEL, STEP, STRIP } from "./attention-tile";
import { loadLanes } from "./lanes";

/**
 * to[d, 0..4] = scale from[0..4, d] for D columns, `step` bytes from one d to the next; rows from `count` on
 * repeat the last one, and what is computed of them is dropped.
 */
export function packLanes(
  to: usize,
  step: usize,
  from: usize,
  rowBytes: usize,
  count: i32,
  D: i32,
  scale: f32,
): void {
  const factor = f32x4.splat(scale);
  const r0 = from;
  const r1 = count > 1 ? r0 + rowBytes : r0;
  const r2 = count > 2 ? r1 + rowBytes : r1;
  const r3 = count > 3 ? r2 + rowBytes : r2;
  const end = (<usize>D) << 2;
  let at: usize = 0;
  for (; at + 16 <= end; at += 16) {
    const a = v128.load(r0 + at);
    const b = v128.load(r1 + at);
    const c = v128.load(r2 + at);
    const d = v128.load(r3 + at);
    const low01 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const low23 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const high23 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(to, f32x4.mul(factor, v128.shuffle<i64>(low01, low23, 0, 2)));
    v128.store(to + step, f32x4.mul(factor, v128.shuffle<i64>(low01, low23, 1, 3)));
    v128.store(to + 2 * step, f32x4.mul(factor, v128.shuffle<i64>(high01, high23, 0, 2)));
    v128.store(to + 3 * step, f32x4.mul(factor, v128.shuffle<i64>(high01, high23, 1, 3)));
    to += 4 * step;
  }
  for (; at < end; at += 4) {
    const lanes = f32x4(
      load<f32>(r0 + at),
      load<f32>(r1 + at),
      load<f32>(r2 + at),
      load<f32>(r3 + at),
    );
    v128.store(to, f32x4.mul(factor, lanes));
    to += step;
  }
}

/** A panel of up to eight rows, transposed: to[d, 0..8] = scale from[0..8, d]. */
export function packQueries(
  to: usize,
  from: usize,
  rowBytes: usize,
  count: i32,
  D: i32,
  scale: f32,
): void {
  packLanes(to, STEP, from, rowBytes, count, D, scale);
  const upper = count > 4 ? from + 4 * rowBytes : from;
  packLanes(to + 16, STEP, upper, rowBytes, count > 4 ? count - 4 : 1, D, scale);
}

/** Strips of four rows, transposed, one below the other: 16 D bytes each. */
export function packStrips(to: usize, from: usize, rowBytes: usize, rows: i32, D: i32): void {
  for (let r: i32 = 0; r < rows; r += STRIP) {
    packLanes(to, 16, from, rowBytes, min(STRIP, rows - r), D, 1);
    from += <usize>STRIP * rowBytes;
    to += (<usize>D) << 4;
  }
}

/** Panels of eight columns, `panelBytes` apart: panel p holds from[r, 8p..8p+8] row below row. */
export function packColumns(
  to: usize,
  panelBytes: usize,
  from: usize,
  rowBytes: usize,
  rows: i32,
  D: i32,
): void {
  for (let d: i32 = 0; d < D; d += PANEL) {
    const columns = min(PANEL, D - d);
    let row = from;
    let at = to;
    if (columns == PANEL) {
      for (let r: i32 = 0; r < rows; r++, row += rowBytes, at += STEP) {
        v128.store(at, v128.load(row));
        v128.store(at, v128.load(row, 16), 16);
      }
    } else {
      for (let r: i32 = 0; r < rows; r++, row += rowBytes, at += STEP) {
        v128.store(at, loadLanes(row, min(columns, 4)));
        v128.store(at, columns > 4 ? loadLanes(row + 16, columns - 4) : f32x4.splat(0), 16);
      }
    }
    from += STEP;
    to += panelBytes;
  }
}
