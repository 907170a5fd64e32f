// Packing: eight columns of b, or the rows of one tall tile of a, in the order a tile reads them.
import { NR, bytes, tallRows } from "./tile";

/** Bytes from one k to the next in a packed strip. */
// @ts-ignore: decorator
@inline
function stripStep(): usize {
  return (<usize>tallRows()) << 2;
}

/** panel[k, 0..8] = b[k, 0..8], `step` bytes per k; `columns` are valid, the others become zero. */
export function packColumns(
  panel: usize,
  step: usize,
  b: usize,
  K: i32,
  bRow: usize,
  columns: i32,
): void {
  if (columns == NR) {
    for (let k = K; k > 0; k--) {
      v128.store(panel, v128.load(b));
      v128.store(panel, v128.load(b, 16), 16);
      panel += step;
      b += bRow;
    }
    return;
  }
  for (let k = K; k > 0; k--) {
    for (let c: i32 = 0; c < NR; c++) {
      store<f32>(panel + bytes(c), c < columns ? load<f32>(b + bytes(c)) : 0);
    }
    panel += step;
    b += bRow;
  }
}

/** panel[k, 0..8] = b[0..8, k], `step` bytes per k: transposes; rows beyond `rows` repeat the last one. */
export function packRows(
  panel: usize,
  step: usize,
  b: usize,
  K: i32,
  bRow: usize,
  rows: i32,
): void {
  const b0 = b;
  const b1 = rows > 1 ? b0 + bRow : b0;
  const b2 = rows > 2 ? b1 + bRow : b1;
  const b3 = rows > 3 ? b2 + bRow : b2;
  const b4 = rows > 4 ? b3 + bRow : b3;
  const b5 = rows > 5 ? b4 + bRow : b4;
  const b6 = rows > 6 ? b5 + bRow : b5;
  const b7 = rows > 7 ? b6 + bRow : b6;
  const end = (<usize>K) << 2;
  let k: usize = 0;
  for (; k + 16 <= end; k += 16) {
    transpose4(
      panel,
      step,
      v128.load(b0 + k),
      v128.load(b1 + k),
      v128.load(b2 + k),
      v128.load(b3 + k),
    );
    transpose4(
      panel + 16,
      step,
      v128.load(b4 + k),
      v128.load(b5 + k),
      v128.load(b6 + k),
      v128.load(b7 + k),
    );
    panel += 4 * step;
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
    panel += step;
  }
}

/** Stores the transpose of four vectors, `step` bytes apart. */
// @ts-ignore: decorator
@inline
function transpose4(to: usize, step: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(to + step, v128.shuffle<i64>(low01, low23, 1, 3));
  v128.store(to + 2 * step, v128.shuffle<i64>(high01, high23, 0, 2));
  v128.store(to + 3 * step, v128.shuffle<i64>(high01, high23, 1, 3));
}

/** strip[k, 0..tallRows()] = a[0..tallRows(), k]: transposes one tall tile's rows of a. */
export function packStripFromRows(strip: usize, a: usize, K: i32, aRow: usize): void {
  const a1 = a + aRow;
  const a2 = a1 + aRow;
  const a3 = a2 + aRow;
  const a4 = a3 + aRow;
  const a5 = ASC_FEATURE_RELAXED_SIMD ? a4 + aRow : a4;
  const end = (<usize>K) << 2;
  let k: usize = 0;
  for (; k + 16 <= end; k += 16) {
    transpose4(
      strip,
      stripStep(),
      v128.load(a + k),
      v128.load(a1 + k),
      v128.load(a2 + k),
      v128.load(a3 + k),
    );
    const r4 = v128.load(a4 + k);
    if (ASC_FEATURE_RELAXED_SIMD) {
      const r5 = v128.load(a5 + k);
      const low = v128.shuffle<f32>(r4, r5, 0, 4, 1, 5);
      const high = v128.shuffle<f32>(r4, r5, 2, 6, 3, 7);
      v128.store_lane<i64>(strip, low, 0, 16);
      v128.store_lane<i64>(strip, low, 1, 40);
      v128.store_lane<i64>(strip, high, 0, 64);
      v128.store_lane<i64>(strip, high, 1, 88);
    } else {
      v128.store_lane<i32>(strip, r4, 0, 16);
      v128.store_lane<i32>(strip, r4, 1, 36);
      v128.store_lane<i32>(strip, r4, 2, 56);
      v128.store_lane<i32>(strip, r4, 3, 76);
    }
    strip += 4 * stripStep();
  }
  for (; k < end; k += 4) {
    store<f32>(strip, load<f32>(a + k));
    store<f32>(strip, load<f32>(a1 + k), 4);
    store<f32>(strip, load<f32>(a2 + k), 8);
    store<f32>(strip, load<f32>(a3 + k), 12);
    store<f32>(strip, load<f32>(a4 + k), 16);
    if (ASC_FEATURE_RELAXED_SIMD) store<f32>(strip, load<f32>(a5 + k), 20);
    strip += stripStep();
  }
}

/** strip[k, 0..tallRows()] = a[k, 0..tallRows()]: one tall tile's rows of a matrix stored transposed. */
export function packStripFromColumns(strip: usize, a: usize, K: i32, aStep: usize): void {
  for (let k = K; k > 0; k--) {
    v128.store(strip, v128.load(a));
    if (ASC_FEATURE_RELAXED_SIMD) store<i64>(strip, load<i64>(a, 16), 16);
    else store<i32>(strip, load<i32>(a, 16), 16);
    strip += stripStep();
    a += aStep;
  }
}
