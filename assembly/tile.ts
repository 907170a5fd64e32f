// Register tiles of the matrix product: a few rows of a against a panel of eight columns of b.
import { madd } from "./simd";

/** Columns of a tile and of a packed panel: two vectors. */
export const NR: i32 = 8;

/**
 * Rows of the tall tile. With separate multiply and add each row needs a product register besides
 * its two sums, so a sixth row would spill; fused, six rows use the fifteen registers to the last.
 */
// @ts-ignore: decorator
@inline
export function tallRows(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? 6 : 5;
}

/** Bytes that so many f32 elements take. */
// @ts-ignore: decorator
@inline
export function bytes(elements: i32): usize {
  return (<usize>elements) << 2;
}

/**
 * out = alpha * a b (+ addend) for a full tall tile of eight columns, of which the first `columns` are
 * stored: a is a packed strip, b a packed panel. `spill` holds a tile that is not stored whole. The
 * addend, which is out itself to accumulate, moves by `addendRow` bytes per row; both are 0 for none.
 */
export function tallTile(
  out: usize,
  a: usize,
  b: usize,
  K: i32,
  outRow: usize,
  columns: i32,
  alpha: f32,
  addend: usize,
  addendRow: usize,
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
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  for (let k = K; k > 0; k--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load32_splat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    if (ASC_FEATURE_RELAXED_SIMD) {
      x = v128.load32_splat(a, 20);
      c50 = madd(x, b0, c50);
      c51 = madd(x, b1, c51);
    }
    a += tallRows() << 2;
    b += NR << 2;
  }
  if (columns == NR) {
    const scale = f32x4.splat(alpha);
    storeRow(out, c00, c01, scale, addend);
    storeRow((out += outRow), c10, c11, scale, (addend += addendRow));
    storeRow((out += outRow), c20, c21, scale, (addend += addendRow));
    storeRow((out += outRow), c30, c31, scale, (addend += addendRow));
    storeRow((out += outRow), c40, c41, scale, (addend += addendRow));
    if (ASC_FEATURE_RELAXED_SIMD) storeRow((out += outRow), c50, c51, scale, (addend += addendRow));
    return;
  }
  // Constant offsets from one address: only so does V8 merge neighbours into vectors of 256 bits.
  v128.store(spill, c00);
  v128.store(spill, c01, 16);
  v128.store(spill, c10, 32);
  v128.store(spill, c11, 48);
  v128.store(spill, c20, 64);
  v128.store(spill, c21, 80);
  v128.store(spill, c30, 96);
  v128.store(spill, c31, 112);
  v128.store(spill, c40, 128);
  v128.store(spill, c41, 144);
  if (ASC_FEATURE_RELAXED_SIMD) {
    v128.store(spill, c50, 160);
    v128.store(spill, c51, 176);
  }
  storeEdge(out, spill, NR, outRow, tallRows(), columns, alpha, addend, addendRow);
}

/**
 * The same for up to four rows and without packing: a moves by `aRow` bytes per row and `aStep` per
 * k, b by `bStep` per k and has eight readable columns.
 */
export function shortTile(
  out: usize,
  a: usize,
  b: usize,
  K: i32,
  aRow: usize,
  aStep: usize,
  bStep: usize,
  outRow: usize,
  rows: i32,
  columns: i32,
  alpha: f32,
  addend: usize,
  addendRow: usize,
  spill: usize,
): void {
  // Rows beyond the edge read the last row again; their sums are dropped.
  let a0 = a;
  let a1 = rows > 1 ? a0 + aRow : a0;
  let a2 = rows > 2 ? a1 + aRow : a1;
  let a3 = rows > 3 ? a2 + aRow : a2;
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
    let x = v128.load32_splat(a0);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    a0 += aStep;
    a1 += aStep;
    a2 += aStep;
    a3 += aStep;
    b += bStep;
  }
  if (rows == 4 && columns == NR) {
    const scale = f32x4.splat(alpha);
    storeRow(out, c00, c01, scale, addend);
    storeRow((out += outRow), c10, c11, scale, (addend += addendRow));
    storeRow((out += outRow), c20, c21, scale, (addend += addendRow));
    storeRow((out += outRow), c30, c31, scale, (addend += addendRow));
    return;
  }
  v128.store(spill, c00);
  v128.store(spill, c01, 16);
  v128.store(spill, c10, 32);
  v128.store(spill, c11, 48);
  v128.store(spill, c20, 64);
  v128.store(spill, c21, 80);
  v128.store(spill, c30, 96);
  v128.store(spill, c31, 112);
  storeEdge(out, spill, NR, outRow, rows, columns, alpha, addend, addendRow);
}

// @ts-ignore: decorator
@inline
export function storeRow(out: usize, left: v128, right: v128, scale: v128, addend: usize): void {
  left = f32x4.mul(scale, left);
  right = f32x4.mul(scale, right);
  if (addend) {
    left = f32x4.add(v128.load(addend), left);
    right = f32x4.add(v128.load(addend, 16), right);
  }
  v128.store(out, left);
  v128.store(out, right, 16);
}

/** Writes the part of a spilled tile, `width` wide, that lies inside out, rounding exactly as `storeRow` does. */
export function storeEdge(
  out: usize,
  spill: usize,
  width: i32,
  outRow: usize,
  rows: i32,
  columns: i32,
  alpha: f32,
  addend: usize,
  addendRow: usize,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    for (let c: usize = 0; c < bytes(columns); c += 4) {
      const sum = alpha * load<f32>(spill + c);
      store<f32>(out + c, addend ? load<f32>(addend + c) + sum : sum);
    }
    out += outRow;
    addend += addendRow;
    spill += bytes(width);
  }
}
