// Packing: eight columns of b, laid out so that a tile reads them from front to back.
import { NR } from "./tile";

/** panel[k, 0..8] = b[k, 0..8]; `columns` are valid, the others become zero. */
export function packColumns(panel: usize, b: usize, K: i32, bRow: usize, columns: i32): void {
  if (columns == NR) {
    for (let k = K; k > 0; k--) {
      v128.store(panel, v128.load(b));
      v128.store(panel, v128.load(b, 16), 16);
      panel += NR << 2;
      b += bRow;
    }
    return;
  }
  for (let k = K; k > 0; k--) {
    for (let c: i32 = 0; c < NR; c++) {
      store<f32>(panel, c < columns ? load<f32>(b + (<usize>c << 2)) : 0);
      panel += 4;
    }
    b += bRow;
  }
}

/** panel[k, 0..8] = b[0..8, k]: transposes; rows beyond `rows` repeat the last one. */
export function packRows(panel: usize, b: usize, K: i32, bRow: usize, rows: i32): void {
  const b0 = b;
  const b1 = rows > 1 ? b0 + bRow : b0;
  const b2 = rows > 2 ? b1 + bRow : b1;
  const b3 = rows > 3 ? b2 + bRow : b2;
  const b4 = rows > 4 ? b3 + bRow : b3;
  const b5 = rows > 5 ? b4 + bRow : b4;
  const b6 = rows > 6 ? b5 + bRow : b5;
  const b7 = rows > 7 ? b6 + bRow : b6;
  const end = <usize>K << 2;
  let k: usize = 0;
  for (; k + 16 <= end; k += 16) {
    transpose4(panel, v128.load(b0 + k), v128.load(b1 + k), v128.load(b2 + k), v128.load(b3 + k));
    transpose4(panel + 16, v128.load(b4 + k), v128.load(b5 + k), v128.load(b6 + k), v128.load(b7 + k));
    panel += 4 * (NR << 2);
  }
  for (; k < end; k += 4) {
    store<f32>(panel, load<f32>(b0 + k));
    store<f32>(panel, load<f32>(b1 + k), 4);
    store<f32>(panel, load<f32>(b2 + k), 8);
    store<f32>(panel, load<f32>(b3 + k), 12);
    store<f32>(panel, load<f32>(b4 + k), 16);
    store<f32>(panel, load<f32>(b5 + k), 20);
    store<f32>(panel, load<f32>(b6 + k), 24);
    store<f32>(panel, load<f32>(b7 + k), 28);
    panel += NR << 2;
  }
}

/** Stores the transpose of four vectors into four panel rows. */
// @ts-ignore: decorator
@inline
function transpose4(panel: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(panel, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(panel, v128.shuffle<i64>(low01, low23, 1, 3), 32);
  v128.store(panel, v128.shuffle<i64>(high01, high23, 0, 2), 64);
  v128.store(panel, v128.shuffle<i64>(high01, high23, 1, 3), 96);
}
