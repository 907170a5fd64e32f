/**
 * The tile for machines that compute on vectors of 256 bits: twice as many columns, in pairs of vectors.
 *
 * V8 merges two operations on neighbouring vectors of 128 bits into one of 256 where they are alike all
 * the way from their loads to their stores. Where it does not, the sums of this tile do not fit the
 * registers and it is far slower than the others. The sums are the same chains either way, bit for bit.
 */
import { madd } from "./simd";
import { bytes, storeEdge, storeRow, tallRows } from "./tile";

/** Columns of a wide tile and its panel: two vectors of 256 bits. */
export const WIDE: i32 = 16;

/** Bytes of scratch a tile needs to spill its sums when it hangs over an edge of out. */
export const TILE_BYTES: i32 = 6 * WIDE * 4;

/** One word, 1 to use wide tiles: in memory, so that all instances on one memory agree. */
const CHOICE: usize = memory.data<i32>([0]);

/** Switches wide tiles on (1) or off (0, the start); results have the same bits either way. */
export function useWideTiles(on: i32): void {
  store<i32>(CHOICE, on);
}

/** Whether wide tiles are switched on. */
// @ts-ignore: decorator
@inline
export function usesWideTiles(): bool {
  return load<i32>(CHOICE) != 0;
}

/** `tallTile` with sixteen columns. */
export function wideTile(
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
  let c02 = c00;
  let c03 = c00;
  let c10 = c00;
  let c11 = c00;
  let c12 = c00;
  let c13 = c00;
  let c20 = c00;
  let c21 = c00;
  let c22 = c00;
  let c23 = c00;
  let c30 = c00;
  let c31 = c00;
  let c32 = c00;
  let c33 = c00;
  let c40 = c00;
  let c41 = c00;
  let c42 = c00;
  let c43 = c00;
  let c50 = c00;
  let c51 = c00;
  let c52 = c00;
  let c53 = c00;
  for (let k = K; k > 0; k--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b, 32);
    const b3 = v128.load(b, 48);
    let x = v128.load32_splat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    c02 = madd(x, b2, c02);
    c03 = madd(x, b3, c03);
    x = v128.load32_splat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    c12 = madd(x, b2, c12);
    c13 = madd(x, b3, c13);
    x = v128.load32_splat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    c22 = madd(x, b2, c22);
    c23 = madd(x, b3, c23);
    x = v128.load32_splat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    c32 = madd(x, b2, c32);
    c33 = madd(x, b3, c33);
    x = v128.load32_splat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    c42 = madd(x, b2, c42);
    c43 = madd(x, b3, c43);
    if (ASC_FEATURE_RELAXED_SIMD) {
      x = v128.load32_splat(a, 20);
      c50 = madd(x, b0, c50);
      c51 = madd(x, b1, c51);
      c52 = madd(x, b2, c52);
      c53 = madd(x, b3, c53);
    }
    a += bytes(tallRows());
    b += bytes(WIDE);
  }
  if (columns == WIDE) {
    const scale = f32x4.splat(alpha);
    storeRow(out, c00, c01, scale, addend);
    storeRow(out + 32, c02, c03, scale, addend ? addend + 32 : 0);
    storeRow((out += outRow), c10, c11, scale, (addend += addendRow));
    storeRow(out + 32, c12, c13, scale, addend ? addend + 32 : 0);
    storeRow((out += outRow), c20, c21, scale, (addend += addendRow));
    storeRow(out + 32, c22, c23, scale, addend ? addend + 32 : 0);
    storeRow((out += outRow), c30, c31, scale, (addend += addendRow));
    storeRow(out + 32, c32, c33, scale, addend ? addend + 32 : 0);
    storeRow((out += outRow), c40, c41, scale, (addend += addendRow));
    storeRow(out + 32, c42, c43, scale, addend ? addend + 32 : 0);
    if (ASC_FEATURE_RELAXED_SIMD) {
      storeRow((out += outRow), c50, c51, scale, (addend += addendRow));
      storeRow(out + 32, c52, c53, scale, addend ? addend + 32 : 0);
    }
    return;
  }
  v128.store(spill, c00);
  v128.store(spill, c01, 16);
  v128.store(spill, c02, 32);
  v128.store(spill, c03, 48);
  v128.store(spill, c10, 64);
  v128.store(spill, c11, 80);
  v128.store(spill, c12, 96);
  v128.store(spill, c13, 112);
  v128.store(spill, c20, 128);
  v128.store(spill, c21, 144);
  v128.store(spill, c22, 160);
  v128.store(spill, c23, 176);
  v128.store(spill, c30, 192);
  v128.store(spill, c31, 208);
  v128.store(spill, c32, 224);
  v128.store(spill, c33, 240);
  v128.store(spill, c40, 256);
  v128.store(spill, c41, 272);
  v128.store(spill, c42, 288);
  v128.store(spill, c43, 304);
  if (ASC_FEATURE_RELAXED_SIMD) {
    v128.store(spill, c50, 320);
    v128.store(spill, c51, 336);
    v128.store(spill, c52, 352);
    v128.store(spill, c53, 368);
  }
  storeEdge(out, spill, WIDE, outRow, tallRows(), columns, alpha, addend, addendRow);
}
