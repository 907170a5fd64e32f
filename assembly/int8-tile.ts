/** Register tile of the int8 product: four or six rows of a against eight columns of b, sums in 32-bit integers. */

/** Columns of a tile and of a packed panel: two vectors of four sums. */
export const NR: i32 = 8;

/** Most rows of a tile. */
export const MOST_ROWS: i32 = 6;

/** Bytes of scratch for a tile that hangs over an edge of out. */
export const TILE_BYTES: i32 = MOST_ROWS * NR * 4;

/** A strip begins with what each row's sums start from (i32) and what they are multiplied by (f32). */
export const STRIP_HEAD: usize = (<usize>MOST_ROWS) << 3;

/** A panel begins with the scales of its columns (f32). */
export const PANEL_HEAD: usize = (<usize>NR) << 2;

/**
 * One step takes two products for every sum: operands are widened to i16, so that nothing can
 * overflow or saturate on the way to 32 bits. Each product needs a register before it is added, so
 * a fifth row would spill.
 */
// @ts-ignore: decorator
@unmanaged
export class Exact {
  // @ts-ignore: decorator
  @inline
  rows(): i32 {
    return 4;
  }
  // @ts-ignore: decorator
  @inline
  isWide(): bool {
    return false;
  }
  // @ts-ignore: decorator
  @inline
  of(sum: v128, x: v128, b: v128): v128 {
    return i32x4.add(sum, i32x4.dot_i16x8_s(x, b));
  }
}

/** One step takes four products for every sum, of signed x with b as `dotOffset` says. */
// @ts-ignore: decorator
@unmanaged
export class Dot {
  // @ts-ignore: decorator
  @inline
  rows(): i32 {
    return 6;
  }
  /** Whether a word holds four bytes instead of two i16. */
  // @ts-ignore: decorator
  @inline
  isWide(): bool {
    return true;
  }
  // @ts-ignore: decorator
  @inline
  of(sum: v128, x: v128, b: v128): v128 {
    return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, b, sum);
  }
}

/**
 * out = sums * row scale * column scale (+ out) for the first `rows` and `columns` of a tile. A
 * step of the strip is a word for each row of the tile, one of the panel NR words; a word holds the
 * two or four neighbours in k that one instruction multiplies.
 */
export function tile<Step>(
  out: usize,
  strip: usize,
  panel: usize,
  steps: i32,
  outRow: usize,
  rows: i32,
  columns: i32,
  accumulate: i32,
  spill: usize,
): void {
  const step = changetype<Step>(0);
  let c00 = v128.load32_splat(strip);
  let c01 = c00;
  let c10 = v128.load32_splat(strip, 4);
  let c11 = c10;
  let c20 = v128.load32_splat(strip, 8);
  let c21 = c20;
  let c30 = v128.load32_splat(strip, 12);
  let c31 = c30;
  let c40 = v128.load32_splat(strip, 16);
  let c41 = c40;
  let c50 = v128.load32_splat(strip, 20);
  let c51 = c50;
  let a = strip + STRIP_HEAD;
  let b = panel + PANEL_HEAD;
  for (let k = steps; k > 0; k--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = step.of(c00, x, b0);
    c01 = step.of(c01, x, b1);
    x = v128.load32_splat(a, 4);
    c10 = step.of(c10, x, b0);
    c11 = step.of(c11, x, b1);
    x = v128.load32_splat(a, 8);
    c20 = step.of(c20, x, b0);
    c21 = step.of(c21, x, b1);
    x = v128.load32_splat(a, 12);
    c30 = step.of(c30, x, b0);
    c31 = step.of(c31, x, b1);
    if (step.rows() == 6) {
      x = v128.load32_splat(a, 16);
      c40 = step.of(c40, x, b0);
      c41 = step.of(c41, x, b1);
      x = v128.load32_splat(a, 20);
      c50 = step.of(c50, x, b0);
      c51 = step.of(c51, x, b1);
    }
    a += step.rows() << 2;
    b += NR << 2;
  }
  const left = v128.load(panel);
  const right = v128.load(panel, 16);
  const whole = rows == step.rows() && columns == NR;
  const to = whole ? out : spill;
  const by = whole ? outRow : <usize>(NR << 2);
  const adds = whole ? accumulate : 0;
  storeRow(to, c00, c01, strip, left, right, adds);
  storeRow(to + by, c10, c11, strip + 4, left, right, adds);
  storeRow(to + 2 * by, c20, c21, strip + 8, left, right, adds);
  storeRow(to + 3 * by, c30, c31, strip + 12, left, right, adds);
  if (step.rows() == 6) {
    storeRow(to + 4 * by, c40, c41, strip + 16, left, right, adds);
    storeRow(to + 5 * by, c50, c51, strip + 20, left, right, adds);
  }
  if (!whole) copyEdge(out, spill, outRow, rows, columns, accumulate);
}

/** Scales one row of sums, whose head in the strip begins at `head`. */
// @ts-ignore: decorator
@inline
function storeRow(
  out: usize,
  sum0: v128,
  sum1: v128,
  head: usize,
  left: v128,
  right: v128,
  accumulate: i32,
): void {
  const scale = v128.load32_splat(head, MOST_ROWS << 2);
  let y0 = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sum0), scale), left);
  let y1 = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sum1), scale), right);
  if (accumulate) {
    y0 = f32x4.add(v128.load(out), y0);
    y1 = f32x4.add(v128.load(out, 16), y1);
  }
  v128.store(out, y0);
  v128.store(out, y1, 16);
}

function copyEdge(
  out: usize,
  spill: usize,
  outRow: usize,
  rows: i32,
  columns: i32,
  accumulate: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    for (let c: usize = 0; c < <usize>columns; c++) {
      const y = load<f32>(spill + (c << 2));
      const to = out + (c << 2);
      store<f32>(to, accumulate ? load<f32>(to) + y : y);
    }
    out += outRow;
    spill += NR << 2;
  }
}
