/** Weights to int8 and int4 and back: row-major, symmetric, the scales beside the values. */
import { narrowToHalf, widenHalf } from "./convert";
import { inverseOf, largestBits, quantised, scaleOf } from "./quantise-row";
import { loadLanes, storeLanes } from "./lanes";

/** Columns of an int4 row that share a scale. */
const GROUP: i32 = 32;

/**
 * values[rows,cols] (i8) * scales[rows] = inp[rows,cols], to the nearest of 255 steps: the largest
 * magnitude of a row is 127 of them. A row that is not finite comes back as NaN.
 */
export function quantiseRowsInt8(
  values: usize,
  scales: usize,
  inp: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    const bits = largestBits(inp, 0, cols);
    store<f32>(scales, scaleOf(bits));
    const inverse = f32x4.splat(inverseOf(bits));
    for (let left = cols; left > 0; left -= 4) {
      const count = min(left, 4);
      const q = quantised(loadLanes(inp, count), inverse);
      storeBytes(values, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(q, q), q), count);
      values += count;
      inp += (<usize>count) << 2;
    }
    scales += 4;
  }
}

// @ts-ignore: decorator
@inline
function storeBytes(to: usize, bytes: v128, count: i32): void {
  if (count == 4) {
    v128.store32_lane(to, bytes, 0);
    return;
  }
  const word = i32x4.extract_lane(bytes, 0);
  for (let i: i32 = 0; i < count; i++) store<u8>(to + i, <u8>(word >> (8 * i)));
}

/** out[rows,cols] = values (i8) * scales[rows]. */
export function dequantiseRowsInt8(
  out: usize,
  values: usize,
  scales: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    const scale = load<f32>(scales);
    const k = f32x4.splat(scale);
    let left = cols;
    for (; left >= 8; left -= 8) {
      const words = v128.load8x8_s(values);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
      v128.store(out, f32x4.mul(low, k));
      v128.store(out, f32x4.mul(high, k), 16);
      values += 8;
      out += 32;
    }
    for (; left > 0; left--) {
      store<f32>(out, <f32>load<i8>(values) * scale);
      values += 1;
      out += 4;
    }
    scales += 4;
  }
}

/**
 * inp[rows,cols] in groups of 32 columns: a group's number of the largest magnitude is -8 of its
 * steps, the others the nearest of -8 to 7. scales[rows,groups] are binary16; byte j of a group
 * holds columns j (low) and j + 16 (high), each plus 8. A group that is not finite, or beyond
 * 524,000, comes back as NaN; columns beyond the last are zero.
 */
export function quantiseRowsInt4(
  values: usize,
  scales: usize,
  inp: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    for (let c: i32 = 0; c < cols; c += GROUP) {
      quantiseGroup(values, scales, inp, min(GROUP, cols - c));
      inp += (<usize>min(GROUP, cols - c)) << 2;
      values += GROUP >> 1;
      scales += 2;
    }
  }
}

function quantiseGroup(values: usize, scale: usize, inp: usize, count: i32): void {
  const half = narrowToHalf(f32x4.splat(largest(inp, count) / -8));
  v128.store16_lane(scale, half, 0);
  const step = f32x4.extract_lane(widenHalf(half), 0);
  const inverse: f32 = step == 0 || step - step != 0 ? 0 : 1 / step;
  memory.fill(values, 0x88, GROUP >> 1);
  for (let i: i32 = 0; i < count; i++) {
    const x = load<f32>(inp + ((<usize>i) << 2)) * inverse;
    const q = inverse == 0 ? 8 : <i32>max<f32>(-8, min<f32>(7, nearest(x))) + 8;
    const at = values + (i & 15);
    const other = load<u8>(at);
    store<u8>(at, <u8>(i < 16 ? (other & 0xf0) | q : (other & 0x0f) | (q << 4)));
  }
}

/** The number of the largest magnitude, the first of equals; NaN where not all are finite. */
function largest(inp: usize, count: i32): f32 {
  let found: f32 = 0;
  for (const end = inp + ((<usize>count) << 2); inp < end; inp += 4) {
    const x = load<f32>(inp);
    if (x - x != 0) return NaN;
    if (abs(x) > abs(found)) found = x;
  }
  return found;
}

/** out[rows,cols] from int4 values and scales, as `quantiseRowsInt4` lays them out. */
export function dequantiseRowsInt4(
  out: usize,
  values: usize,
  scales: usize,
  rows: i32,
  cols: i32,
): void {
  const groups = (cols + GROUP - 1) / GROUP;
  for (let r: i32 = 0; r < rows; r++) {
    dequantiseGroups(out, values, scales, cols);
    out += (<usize>cols) << 2;
    values += groups * (GROUP >> 1);
    scales += groups << 1;
  }
}

/** out[n] from the groups that begin at `values` and `scales`. */
export function dequantiseGroups(out: usize, values: usize, scales: usize, n: i32): void {
  const eight = i8x16.splat(8);
  for (let left = n; left > 0; left -= GROUP) {
    const step = widenHalf(i32x4.splat(<i32>load<u16>(scales)));
    const pairs = v128.load(values);
    const low = i8x16.sub(v128.and(pairs, i8x16.splat(0x0f)), eight);
    const high = i8x16.sub(i8x16.shr_u(pairs, 4), eight);
    out = sixteen(out, low, step, left);
    if (left > 16) out = sixteen(out, high, step, left - 16);
    values += GROUP >> 1;
    scales += 2;
  }
}

/** Stores the first of sixteen steps as f32, `left` at most, and returns the address behind them. */
// @ts-ignore: decorator
@inline
function sixteen(out: usize, steps: v128, scale: v128, left: i32): usize {
  const low = i16x8.extend_low_i8x16_s(steps);
  const high = i16x8.extend_high_i8x16_s(steps);
  out = four(out, i32x4.extend_low_i16x8_s(low), scale, left);
  out = four(out, i32x4.extend_high_i16x8_s(low), scale, left - 4);
  out = four(out, i32x4.extend_low_i16x8_s(high), scale, left - 8);
  return four(out, i32x4.extend_high_i16x8_s(high), scale, left - 12);
}

// @ts-ignore: decorator
@inline
function four(out: usize, steps: v128, scale: v128, left: i32): usize {
  if (left <= 0) return out;
  const count = min(left, 4);
  storeLanes(out, f32x4.mul(f32x4.convert_i32x4_s(steps), scale), count);
  return out + ((<usize>count) << 2);
}
