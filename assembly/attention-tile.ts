/**
 * Register tiles of attention. Eight queries form a panel: of their scores, key after key lies with its
 * eight numbers side by side, so that softmax works down the lanes, and a panel serves the next product
 * as it stands.
 */
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";

/** Queries, or columns of a head, in a panel: two vectors. */
export const PANEL: i32 = 8;

/** Bytes from one step to the next in a panel. */
export const STEP: usize = 32;

/** Keys in a strip: one vector. */
export const STRIP: i32 = 4;

/** `n` rounded up to a multiple of `to`, a power of two. */
// @ts-ignore: decorator
@inline
export function roundUp(n: i32, to: i32): i32 {
  return (n + to - 1) & -to;
}

/** out[4, 8] = products of four keys (a strip) with eight queries (a panel) over D; stored densely. */
export function scoreTile(out: usize, strip: usize, panel: usize, D: i32): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  for (let d = D; d > 0; d--) {
    const b0 = v128.load(panel);
    const b1 = v128.load(panel, 16);
    let x = v128.load32_splat(strip);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(strip, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(strip, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(strip, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    strip += 16;
    panel += STEP;
  }
  v128.store(out, c00);
  v128.store(out, c01, 16);
  v128.store(out, c10, 32);
  v128.store(out, c11, 48);
  v128.store(out, c20, 64);
  v128.store(out, c21, 80);
  v128.store(out, c30, 96);
  v128.store(out, c31, 112);
}

/**
 * out[rows, columns] = factor weights^T b (+ out) for up to four queries, half a panel of weights [K, 8], and
 * eight columns b [K, 8]; `factors` holds one number for each query.
 */
export function mixTile(
  out: usize,
  outRow: usize,
  weights: usize,
  b: usize,
  K: i32,
  rows: i32,
  columns: i32,
  factors: usize,
  accumulate: i32,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  for (let k = K; k > 0; k--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(weights);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(weights, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(weights, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(weights, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    weights += STEP;
    b += STEP;
  }
  storeRow(out, c00, c01, v128.load32_splat(factors), columns, accumulate);
  if (rows < 2) return;
  storeRow((out += outRow), c10, c11, v128.load32_splat(factors, 4), columns, accumulate);
  if (rows < 3) return;
  storeRow((out += outRow), c20, c21, v128.load32_splat(factors, 8), columns, accumulate);
  if (rows < 4) return;
  storeRow((out += outRow), c30, c31, v128.load32_splat(factors, 12), columns, accumulate);
}

/**
 * out[count, D] = factors weights^T b (+ out) for a panel of weights [keys, 8] and b [keys, D] in panels of
 * eight columns, `panelBytes` apart.
 */
export function mixPanel(
  out: usize,
  outRow: usize,
  weights: usize,
  b: usize,
  panelBytes: usize,
  keys: i32,
  count: i32,
  D: i32,
  factors: usize,
  accumulate: i32,
): void {
  const lower = out + 4 * outRow;
  for (let d: i32 = 0; d < D; d += PANEL) {
    const columns = min(PANEL, D - d);
    const at = (<usize>d) << 2;
    mixTile(out + at, outRow, weights, b, keys, min(count, 4), columns, factors, accumulate);
    if (count > 4) {
      mixTile(
        lower + at,
        outRow,
        weights + 16,
        b,
        keys,
        count - 4,
        columns,
        factors + 16,
        accumulate,
      );
    }
    b += panelBytes;
  }
}

/**
 * out[rows, columns] = factor weights b (+ out) for up to four keys over `queries` of them: weights of a key
 * lie eight to a panel, panels are `panelBytes` apart, and b [queries, 8] has one row per query.
 */
export function foldTile(
  out: usize,
  outRow: usize,
  weights: usize,
  panelBytes: usize,
  b: usize,
  queries: i32,
  rows: i32,
  columns: i32,
  factor: f32,
  accumulate: i32,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  for (; queries > 0; queries -= PANEL) {
    let at = weights;
    for (let k = min(queries, PANEL); k > 0; k--) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      let x = v128.load32_splat(at);
      c00 = madd(x, b0, c00);
      c01 = madd(x, b1, c01);
      x = v128.load32_splat(at, 32);
      c10 = madd(x, b0, c10);
      c11 = madd(x, b1, c11);
      x = v128.load32_splat(at, 64);
      c20 = madd(x, b0, c20);
      c21 = madd(x, b1, c21);
      x = v128.load32_splat(at, 96);
      c30 = madd(x, b0, c30);
      c31 = madd(x, b1, c31);
      at += 4;
      b += STEP;
    }
    weights += panelBytes;
  }
  const all = f32x4.splat(factor);
  storeRow(out, c00, c01, all, columns, accumulate);
  if (rows < 2) return;
  storeRow((out += outRow), c10, c11, all, columns, accumulate);
  if (rows < 3) return;
  storeRow((out += outRow), c20, c21, all, columns, accumulate);
  if (rows < 4) return;
  storeRow((out += outRow), c30, c31, all, columns, accumulate);
}

// @ts-ignore: decorator
@inline
function storeRow(
  out: usize,
  left: v128,
  right: v128,
  factor: v128,
  columns: i32,
  accumulate: i32,
): void {
  left = f32x4.mul(factor, left);
  right = f32x4.mul(factor, right);
  if (columns == PANEL) {
    if (accumulate) {
      left = f32x4.add(v128.load(out), left);
      right = f32x4.add(v128.load(out, 16), right);
    }
    v128.store(out, left);
    v128.store(out, right, 16);
  } else {
    storePart(out, left, right, columns, accumulate);
  }
}

/** The first one to seven columns of a row. */
function storePart(out: usize, left: v128, right: v128, columns: i32, accumulate: i32): void {
  const first = min(columns, 4);
  if (accumulate) left = f32x4.add(loadLanes(out, first), left);
  storeLanes(out, left, first);
  if (columns <= 4) return;
  if (accumulate) right = f32x4.add(loadLanes(out + 16, columns - 4), right);
  storeLanes(out + 16, right, columns - 4);
}
