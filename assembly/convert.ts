/** Half-precision formats to and from f32; rounding to nearest even, no value saturates. */
import { loadLanes, storeLanes } from "./lanes";

// Moves the exponent bias of binary16 (15) to that of f32 (127).
const HALF_BIAS: i32 = 112 << 23;
// The unit of denormal halves, 2^-24.
const HALF_UNIT: f32 = 5.9604644775390625e-8;
// From here on, 2^16, binary16 has no numbers; below 2^-14 they are denormal.
const HALF_LIMIT: i32 = 0x47800000;
const HALF_NORMAL: i32 = 0x38800000;
// Adding 0.5 leaves a denormal half, rounded, in the low mantissa bits.
const HALF_ROUNDER: f32 = 0.5;
const INFINITY: i32 = 0x7f800000;

/** The first `count` (1 to 4) 16-bit numbers at `p`, widened to 32-bit lanes. */
// @ts-ignore: decorator
@inline
function loadHalves(p: usize, count: i32): v128 {
  if (count == 4) return v128.load16x4_u(p);
  let lanes = i32x4.splat(<i32>load<u16>(p));
  if (count > 1) lanes = i32x4.replace_lane(lanes, 1, <i32>load<u16>(p, 2));
  if (count > 2) lanes = i32x4.replace_lane(lanes, 2, <i32>load<u16>(p, 4));
  return lanes;
}

/** Stores the first `count` lanes, each below 2^16, as 16-bit numbers. */
// @ts-ignore: decorator
@inline
function storeHalves(p: usize, x: v128, count: i32): void {
  if (count == 4) {
    v128.store64_lane(p, i16x8.narrow_i32x4_u(x, x), 0);
    return;
  }
  store<u16>(p, <u16>i32x4.extract_lane(x, 0));
  if (count > 1) store<u16>(p, <u16>i32x4.extract_lane(x, 1), 2);
  if (count > 2) store<u16>(p, <u16>i32x4.extract_lane(x, 2), 4);
}

/** Four binary16 numbers in the low halves of lanes as f32, exact. */
// @ts-ignore: decorator
@inline
export function widenHalf(h: v128): v128 {
  const magnitude = v128.and(h, i32x4.splat(0x7fff));
  const normal = i32x4.add(i32x4.shl(magnitude, 13), i32x4.splat(HALF_BIAS));
  // By way of integers, because vectors of 32-bit Arm take denormal floats for 0.
  const denormal = f32x4.mul(f32x4.convert_i32x4_s(magnitude), f32x4.splat(HALF_UNIT));
  let value = v128.bitselect(denormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x400)));
  const special = i32x4.ge_s(magnitude, i32x4.splat(0x7c00));
  value = v128.or(value, v128.and(special, i32x4.splat(INFINITY)));
  return v128.or(value, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** Four f32 numbers as binary16 in the low halves of lanes. */
// @ts-ignore: decorator
@inline
export function narrowToHalf(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  // Normal: rebias, then round to even by adding just under half a unit, or half for odd ones.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const rebiased = i32x4.add(magnitude, i32x4.splat(0xfff - HALF_BIAS));
  const normal = i32x4.shr_u(i32x4.add(rebiased, odd), 13);
  const shifted = f32x4.add(magnitude, f32x4.splat(HALF_ROUNDER));
  const denormal = i32x4.sub(shifted, i32x4.splat(reinterpret<i32>(HALF_ROUNDER)));
  let half = v128.bitselect(denormal, normal, i32x4.lt_s(magnitude, i32x4.splat(HALF_NORMAL)));
  half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.ge_s(magnitude, i32x4.splat(HALF_LIMIT)));
  half = v128.or(half, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
  return v128.bitselect(i32x4.splat(0x7e00), half, i32x4.gt_s(magnitude, i32x4.splat(INFINITY)));
}

// @ts-ignore: decorator
@inline
function narrowToBrain(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  return v128.bitselect(i32x4.splat(0x7fc0), rounded, i32x4.gt_s(magnitude, i32x4.splat(INFINITY)));
}

/** out[n] in f32 from binary16 inp[n], exact. */
export function f16ToF32(out: usize, inp: usize, n: i32): void {
  for (; n >= 4; n -= 4, out += 16, inp += 8) v128.store(out, widenHalf(loadHalves(inp, 4)));
  if (n > 0) storeLanes(out, widenHalf(loadHalves(inp, n)), n);
}

/** out[n] in binary16; overflow gives inf, every NaN becomes 0x7e00. */
export function f32ToF16(out: usize, inp: usize, n: i32): void {
  for (; n >= 4; n -= 4, out += 8, inp += 16) storeHalves(out, narrowToHalf(v128.load(inp)), 4);
  if (n > 0) storeHalves(out, narrowToHalf(loadLanes(inp, n)), n);
}

/** out[n] in f32 from bfloat16 inp[n], exact. */
export function bf16ToF32(out: usize, inp: usize, n: i32): void {
  for (; n >= 4; n -= 4, out += 16, inp += 8) v128.store(out, i32x4.shl(loadHalves(inp, 4), 16));
  if (n > 0) storeLanes(out, i32x4.shl(loadHalves(inp, n), 16), n);
}

/** out[n] in bfloat16; overflow gives inf, every NaN becomes 0x7fc0. */
export function f32ToBf16(out: usize, inp: usize, n: i32): void {
  for (; n >= 4; n -= 4, out += 8, inp += 16) storeHalves(out, narrowToBrain(v128.load(inp)), 4);
  if (n > 0) storeHalves(out, narrowToBrain(loadLanes(inp, n)), n);
}
