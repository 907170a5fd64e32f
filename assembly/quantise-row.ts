/** Rows of numbers to whole ones of -127 to 127, with one scale for each row. */
import { loadLanes } from "./lanes";

// Below this a row counts as zero: nothing in what follows becomes denormal, which 32-bit Arm
// would take for zero.
const LEAST: f32 = 1.2621774e-29; // 2^-96

/** Adding it rounds |x| < 2^22 to the nearest whole number, ties to even, in the low bits of the sum. */
const ROUNDER: f32 = 12582912;

/**
 * The bits of the largest magnitude in x[n], or of x[n] * by[n] where `by` is no null; those of NaN and
 * infinity are the largest.
 */
export function largestBits(x: usize, by: usize, n: i32): i32 {
  return by == 0 ? largestOf(x, x, n, false) : largestOf(x, by, n, true);
}

// @ts-ignore: decorator
@inline
function largestOf(x: usize, by: usize, n: i32, scaled: bool): i32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let most = i32x4.splat(0);
  let more = most;
  let left = n;
  for (; left >= 8; left -= 8) {
    most = i32x4.max_s(most, v128.and(scaledBy(v128.load(x), by, 4, scaled), magnitude));
    more = i32x4.max_s(more, v128.and(scaledBy(v128.load(x, 16), by + 16, 4, scaled), magnitude));
    x += 32;
    by += 32;
  }
  for (; left > 0; left -= 4) {
    const count = min(left, 4);
    const values = scaledBy(loadLanes(x, count), by, count, scaled);
    most = i32x4.max_s(most, v128.and(values, magnitude));
    x += 16;
    by += 16;
  }
  most = i32x4.max_s(most, more);
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  return max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1));
}

// @ts-ignore: decorator
@inline
function scaledBy(x: v128, by: usize, count: i32, scaled: bool): v128 {
  return scaled ? f32x4.mul(x, loadLanes(by, count)) : x;
}

/** What a quantised step stands for: the largest magnitude / 127; 0 for a row of nothing, NaN where not all is finite. */
// @ts-ignore: decorator
@inline
export function scaleOf(bits: i32): f32 {
  const largest = reinterpret<f32>(bits);
  if (bits >= 0x7f800000) return NaN;
  return largest < LEAST ? 0 : largest / 127;
}

/** What values are multiplied by before they are rounded. */
// @ts-ignore: decorator
@inline
export function inverseOf(bits: i32): f32 {
  const largest = reinterpret<f32>(bits);
  return bits >= 0x7f800000 || largest < LEAST ? 0 : 127 / largest;
}

/** Four values as whole numbers in -127 to 127. */
// @ts-ignore: decorator
@inline
export function quantised(values: v128, inverse: v128): v128 {
  const rounder = f32x4.splat(ROUNDER);
  return i32x4.sub(f32x4.add(f32x4.mul(values, inverse), rounder), rounder);
}

/**
 * x[n], or x[n] * by[n] where `by` is no null, in words `step` bytes apart: two i16 in each or, `wide`,
 * four bytes, with zeros up to a whole word. Returns the sum of the
 * numbers where they are wide, which is where it is needed.
 */
export function quantiseRow(
  to: usize,
  step: usize,
  x: usize,
  by: usize,
  inverse: f32,
  n: i32,
  wide: bool,
): i32 {
  if (wide) {
    if (by == 0) return quantiseInto(to, step, x, x, inverse, n, true, false);
    return quantiseInto(to, step, x, by, inverse, n, true, true);
  }
  if (by == 0) return quantiseInto(to, step, x, x, inverse, n, false, false);
  return quantiseInto(to, step, x, by, inverse, n, false, true);
}

// @ts-ignore: decorator
@inline
function quantiseInto(
  to: usize,
  step: usize,
  x: usize,
  by: usize,
  inverse: f32,
  n: i32,
  wide: bool,
  scaled: bool,
): i32 {
  const k = f32x4.splat(inverse);
  const next = wide ? step << 1 : step << 2;
  let sums = i32x4.splat(0);
  let left = n;
  for (; left >= 8; left -= 8) {
    const low = quantised(scaledBy(v128.load(x), by, 4, scaled), k);
    const high = quantised(scaledBy(v128.load(x, 16), by + 16, 4, scaled), k);
    const q = i16x8.narrow_i32x4_s(low, high);
    if (wide) sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(q));
    storeWords(to, step, q, 8, wide);
    to += next;
    x += 32;
    by += 32;
  }
  if (left > 0) {
    const low = quantised(scaledBy(loadLanes(x, min(left, 4)), by, min(left, 4), scaled), k);
    let high = i32x4.splat(0);
    if (left > 4) {
      high = quantised(scaledBy(loadLanes(x + 16, left - 4), by + 16, left - 4, scaled), k);
    }
    const q = i16x8.narrow_i32x4_s(low, high);
    if (wide) sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(q));
    storeWords(to, step, q, left, wide);
  }
  sums = i32x4.add(sums, v128.shuffle<i32>(sums, sums, 2, 3, 0, 1));
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1);
}

/** The words that `count` (1 to 8) numbers fill. */
// @ts-ignore: decorator
@inline
function storeWords(to: usize, step: usize, q: v128, count: i32, wide: bool): void {
  if (wide) {
    const bytes = i8x16.narrow_i16x8_s(q, q);
    v128.store32_lane(to, bytes, 0);
    if (count > 4) v128.store32_lane(to + step, bytes, 1);
    return;
  }
  v128.store32_lane(to, q, 0);
  if (count > 2) v128.store32_lane(to + step, q, 1);
  if (count > 4) v128.store32_lane(to + 2 * step, q, 2);
  if (count > 6) v128.store32_lane(to + 3 * step, q, 3);
}
