/**
 * Register tiles of attention. Eight queries form a panel: of their scores, key after key lies with its
 * eight numbers side by side, so that softmax works down the lanes, and a panel serves the next product
 * as it stands.
 */
import { madd } from "./simd";

/** Queries, or columns of a head, in a panel: two vectors. */
export const PANEL: i32 = 8;

/** Bytes from one step to the next in a panel. */
export const STEP: usize = 32;

/** Bytes of a tile. */
export const SPILL_BYTES: i32 = 128;

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
 * out[rows, columns] = factors weights^T b (+ out) for up to four queries, half a panel of weights [K, 8], and
 * eight columns b [K, 8]; `factors` holds one number for each query. `spill` has SPILL_BYTES to hold a tile
 * that is not stored whole.
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
  spill: usize,
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
  if (rows == 4 && columns == PANEL) {
    storeRow(out, c00, c01, v128.load32_splat(factors), accumulate);
    storeRow((out += outRow), c10, c11, v128.load32_splat(factors, 4), accumulate);
    storeRow((out += outRow), c20, c21, v128.load32_splat(factors, 8), accumulate);
    storeRow((out += outRow), c30, c31, v128.load32_splat(factors, 12), accumulate);
    return;
  }
  spillTile(spill, c00, c01, c10, c11, c20, c21, c30, c31);
  storeEdge(out, outRow, spill, rows, columns, factors, accumulate);
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
  spill: usize,
): void {
  const lower = out + 4 * outRow;
  for (let d: i32 = 0; d < D; d += PANEL) {
    const columns = min(PANEL, D - d);
    const at = (<usize>d) << 2;
    mixTile(out + at, outRow, weights, b, keys, min(count, 4), columns, factors, accumulate, spill);
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
        spill,
      );
    }
    b += panelBytes;
  }
}

/**
 * out[rows, columns] = factors weights b (+ out) for up to four keys over `queries` of them: weights of a key
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
  factors: usize,
  accumulate: i32,
  spill: usize,
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
  if (rows == STRIP && columns == PANEL) {
    const factor = v128.load32_splat(factors);
    storeRow(out, c00, c01, factor, accumulate);
    storeRow((out += outRow), c10, c11, factor, accumulate);
    storeRow((out += outRow), c20, c21, factor, accumulate);
    storeRow((out += outRow), c30, c31, factor, accumulate);
    return;
  }
  spillTile(spill, c00, c01, c10, c11, c20, c21, c30, c31);
  storeEdge(out, outRow, spill, rows, columns, factors, accumulate);
}

// @ts-ignore: decorator
@inline
function storeRow(out: usize, left: v128, right: v128, factor: v128, accumulate: i32): void {
  left = f32x4.mul(factor, left);
  right = f32x4.mul(factor, right);
  if (accumulate) {
    left = f32x4.add(v128.load(out), left);
    right = f32x4.add(v128.load(out, 16), right);
  }
  v128.store(out, left);
  v128.store(out, right, 16);
}

/** Constant offsets from one address: only so does V8 merge neighbours into vectors of 256 bits. */
// @ts-ignore: decorator
@inline
function spillTile(
  to: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
): void {
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c10, 32);
  v128.store(to, c11, 48);
  v128.store(to, c20, 64);
  v128.store(to, c21, 80);
  v128.store(to, c30, 96);
  v128.store(to, c31, 112);
}

/** Writes the part of a spilled tile that lies inside out, one factor for each row, rounding as `storeRow` does. */
function storeEdge(
  out: usize,
  outRow: usize,
  spill: usize,
  rows: i32,
  columns: i32,
  factors: usize,
  accumulate: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    const factor = load<f32>(factors + ((<usize>r) << 2));
    for (let c: usize = 0; c < (<usize>columns) << 2; c += 4) {
      const sum = factor * load<f32>(spill + c);
      store<f32>(out + c, accumulate ? load<f32>(out + c) + sum : sum);
    }
    out += outRow;
    spill += STEP;
  }
}
