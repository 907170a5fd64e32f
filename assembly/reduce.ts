/** Reductions in one fixed order, so that a sum repeats bit for bit at every address. */
import { map2 } from "./loops";
import { laneMask, loadLanes, storeLanes } from "./lanes";
import { Add } from "./ops";

// @ts-ignore: decorator
@unmanaged
class Value {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128): v128 {
    return a;
  }
}

// @ts-ignore: decorator
@unmanaged
class Product {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128): v128 {
    return f64x2.mul(a, b);
  }
}

/**
 * Sum of Op.of(a[i], b[i]) in f64, where the product of two floats is exact. Pairs of elements go to
 * four accumulators in turn, the last one to seven elements follow one by one.
 */
// @ts-ignore: decorator
@inline
function sumWide<Op>(a: usize, b: usize, n: i32): f64 {
  const op = changetype<Op>(0);
  let s0 = f64x2.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; n >= 8; n -= 8) {
    s0 = f64x2.add(s0, op.of(loadWide(a, 0), loadWide(b, 0)));
    s1 = f64x2.add(s1, op.of(loadWide(a, 8), loadWide(b, 8)));
    s2 = f64x2.add(s2, op.of(loadWide(a, 16), loadWide(b, 16)));
    s3 = f64x2.add(s3, op.of(loadWide(a, 24), loadWide(b, 24)));
    a += 32;
    b += 32;
  }
  const pairs = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let sum = f64x2.extract_lane(pairs, 0) + f64x2.extract_lane(pairs, 1);
  for (; n > 0; n--) {
    const one = op.of(f64x2.splat(<f64>load<f32>(a)), f64x2.splat(<f64>load<f32>(b)));
    sum += f64x2.extract_lane(one, 0);
    a += 4;
    b += 4;
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function loadWide(p: usize, offset: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(p + offset));
}

/** Sum of inp[n], added up in f64. */
export function sumF32(inp: usize, n: i32): f32 {
  return <f32>sumWide<Value>(inp, inp, n);
}

/** Sum of the squares of inp[n] in f64. */
export function sumSquaresF32(inp: usize, n: i32): f64 {
  return sumWide<Product>(inp, inp, n);
}

/** Sum of a[n] * b[n], added up in f64. */
export function dotF32(a: usize, b: usize, n: i32): f32 {
  return <f32>sumWide<Product>(a, b, n);
}

/** out[cols] += the sums of the columns of inp[rows,cols]; rows are taken in fours, (0 + 1) + (2 + 3). */
export function sumRowsF32(out: usize, inp: usize, rows: i32, cols: i32): void {
  const bytes = (<usize>cols) << 2;
  for (; rows >= 4; rows -= 4) {
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) addFourRows(out + at, inp + at, bytes, 4);
    if (cols & 3) addFourRows(out + at, inp + at, bytes, cols & 3);
    inp += bytes * 4;
  }
  for (; rows > 0; rows--, inp += bytes) map2<Add>(out, out, inp, cols);
}

// @ts-ignore: decorator
@inline
function addFourRows(out: usize, inp: usize, rowBytes: usize, count: i32): void {
  const upper = f32x4.add(loadLanes(inp, count), loadLanes(inp + rowBytes, count));
  inp += rowBytes * 2;
  const lower = f32x4.add(loadLanes(inp, count), loadLanes(inp + rowBytes, count));
  storeLanes(out, f32x4.add(loadLanes(out, count), f32x4.add(upper, lower)), count);
}

/** How many of inp[n] are NaN or infinite. */
export function countNonFiniteF32(inp: usize, n: i32): i32 {
  let counts = i32x4.splat(0);
  for (; n >= 4; n -= 4, inp += 16) counts = i32x4.sub(counts, nonFinite(v128.load(inp)));
  if (n > 0) {
    counts = i32x4.sub(counts, v128.and(nonFinite(loadLanes(inp, n)), laneMask(n)));
  }
  return (
    i32x4.extract_lane(counts, 0) +
    i32x4.extract_lane(counts, 1) +
    i32x4.extract_lane(counts, 2) +
    i32x4.extract_lane(counts, 3)
  );
}

/** All ones in lanes whose exponent bits are all set. */
// @ts-ignore: decorator
@inline
function nonFinite(x: v128): v128 {
  const exponent = i32x4.splat(0x7f800000);
  return i32x4.eq(v128.and(x, exponent), exponent);
}
