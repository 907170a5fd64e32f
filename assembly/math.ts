/**
 * Elementary functions on four f32 lanes; each states its range and its measured error.
 *
 * Constants live in memory and are loaded where used: one instruction each, while a vector constant
 * in the code takes several on every target.
 */
import { madd } from "./simd";

/** Value `i` of a table of f32, in all lanes. */
// @ts-ignore: decorator
@inline
export function constant(table: usize, i: i32): v128 {
  return v128.load32_splat(table + ((<usize>i) << 2));
}

/** The polynomial of x whose coefficients stand in the table, highest power first (degree 4 to 6). */
// @ts-ignore: decorator
@inline
function polynomial(table: usize, degree: i32, x: v128): v128 {
  let p = madd(constant(table, 0), x, constant(table, 1));
  p = madd(p, x, constant(table, 2));
  p = madd(p, x, constant(table, 3));
  p = madd(p, x, constant(table, 4));
  if (degree > 4) p = madd(p, x, constant(table, 5));
  if (degree > 5) p = madd(p, x, constant(table, 6));
  return p;
}

/** x within the two numbers of the table; NaN stays NaN, because pmin(a, b) is b < a ? b : a. */
// @ts-ignore: decorator
@inline
export function clamp(x: v128, bounds: usize): v128 {
  return f32x4.pmax(f32x4.pmin(x, constant(bounds, 1)), constant(bounds, 0));
}

/** x P(x^2) / Q(x^2) for an odd function that is flat outside -bound to bound. */
// @ts-ignore: decorator
@inline
function oddRatio(
  x: v128,
  bounds: usize,
  numerator: usize,
  degree: i32,
  denominator: usize,
  degreeBelow: i32,
): v128 {
  const bounded = clamp(x, bounds);
  const u = f32x4.mul(bounded, bounded);
  const above = f32x4.mul(bounded, polynomial(numerator, degree, u));
  return f32x4.div(above, polynomial(denominator, degreeBelow, u));
}

const ONES: usize = memory.data<f32>([1]);

/** 1 in all lanes. */
// @ts-ignore: decorator
@inline
export function one(): v128 {
  return constant(ONES, 0);
}

// The bounds make the exponent reach -127 and 128 and no further.
const EXP_BOUNDS: usize = memory.data<f32>([-88, 89]);
// Adding 1.5 * 2^23 rounds a float below 2^22 to an integer, which then stands in the low mantissa bits.
const EXP_ROUNDING: usize = memory.data<f32>([1.44269504, 12582912.0]);
// -ln 2 in two parts; the upper one has 9 bits, so its product with any exponent is exact.
const EXP_REDUCTION: usize = memory.data<f32>([-0.693359375, 2.1219444e-4]);
// (e^r - 1 - r) / r^2, minimax on [-ln2/2, ln2/2].
const EXP_SERIES: usize = memory.data<f32>([
  1.381459878757596e-3, 8.368716575205326e-3, 4.166838899254799e-2, 1.666652113199234e-1,
  4.999999403953552e-1,
]);

/**
 * e^x over all floats: 0 below -87.7 (denormal results are dropped), inf above 88.3, NaN stays NaN.
 * Relative error below 1e-7 in between.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  return expWithin(clamp(x, EXP_BOUNDS));
}

/** exp for arguments known to lie from -88 to 89, or NaN. */
// @ts-ignore: decorator
@inline
export function expWithin(x: v128): v128 {
  const rounded = madd(x, constant(EXP_ROUNDING, 0), constant(EXP_ROUNDING, 1));
  const n = f32x4.sub(rounded, constant(EXP_ROUNDING, 1));
  let r = madd(n, constant(EXP_REDUCTION, 0), x);
  r = madd(n, constant(EXP_REDUCTION, 1), r);
  const p = madd(madd(polynomial(EXP_SERIES, 4, r), r, one()), r, one());
  // The shift moves n into the exponent of 1.0: -127 makes it 0, 128 infinity.
  return f32x4.mul(p, i32x4.add(i32x4.shl(rounded, 23), one()));
}

/** 1 / (1 + e^-x) over all floats, 0 below -88.3; relative error below 1.4e-7. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(one(), f32x4.add(one(), exp(f32x4.neg(x))));
}

const TANH_BOUNDS: usize = memory.data<f32>([-9.1, 9.1]);
const TANH_NUMERATOR: usize = memory.data<f32>([
  1.3177531294346649e-8, 2.0481191979022993e-5, 3.487811295778519e-3, 1.3374475361434887e-1,
  9.999999771859712e-1,
]);
const TANH_DENOMINATOR: usize = memory.data<f32>([
  7.704049456793125e-7, 3.272920648648818e-4, 2.5847389418645363e-2, 4.670778913772189e-1, 1,
]);

/**
 * tanh over all floats, never beyond -1 and 1; relative error below 4e-7.
 * Minimax fit of a ratio on [0, 9.1], where tanh reaches 1 in f32.
 */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const ratio = oddRatio(x, TANH_BOUNDS, TANH_NUMERATOR, 4, TANH_DENOMINATOR, 4);
  return f32x4.pmax(f32x4.pmin(ratio, one()), f32x4.neg(one()));
}

const CDF_BOUNDS: usize = memory.data<f32>([-5.6, 5.6]);
const CDF_NUMERATOR: usize = memory.data<f32>([
  -7.191284874458592e-11, 5.137489645135315e-8, 8.359207478304943e-6, 1.6991516380642055e-4,
  4.798064127932499e-3, 3.273504460347347e-2, 3.989422811693026e-1,
]);
const CDF_DENOMINATOR: usize = memory.data<f32>([
  1.9619331181447104e-6, 8.155121433826199e-5, 1.9309654635538602e-3, 2.8480386237364177e-2,
  2.487212934926545e-1, 1,
]);
const HALVES: usize = memory.data<f32>([0.5, -0.5]);

/**
 * The normal distribution function (1 + erf(x / sqrt 2)) / 2 over all floats: exactly 0 below -5.6
 * and 1 above 5.6. Absolute error below 2e-7. Minimax fit of a ratio to Phi(x) - 1/2 on [0, 5.6].
 */
// @ts-ignore: decorator
@inline
export function normalCdf(x: v128): v128 {
  const ratio = oddRatio(x, CDF_BOUNDS, CDF_NUMERATOR, 6, CDF_DENOMINATOR, 5);
  const half = constant(HALVES, 0);
  return f32x4.add(f32x4.pmax(f32x4.pmin(ratio, half), constant(HALVES, 1)), half);
}

const SLOPE_BOUNDS: usize = memory.data<f32>([-5.7, 5.7]);
const SLOPE_NUMERATOR: usize = memory.data<f32>([
  1.916108608548601e-7, 3.589462598750849e-5, 2.2463384478181102e-5, 1.4216296234220825e-2,
  -3.0830165070800306e-2, 7.97884766805833e-1,
]);
const SLOPE_DENOMINATOR: usize = memory.data<f32>([
  8.911397245893498e-6, 1.9306108017126298e-4, 3.526395186634907e-3, 4.1036244716053286e-2,
  2.946979980446523e-1, 1,
]);

/**
 * The derivative Phi(x) + x phi(x) of x Phi(x) over all floats; absolute error below 4e-7.
 * Minimax fit of a ratio to the part that is odd, the derivative less 1/2, on [0, 5.7].
 */
// @ts-ignore: decorator
@inline
export function geluSlope(x: v128): v128 {
  const ratio = oddRatio(x, SLOPE_BOUNDS, SLOPE_NUMERATOR, 5, SLOPE_DENOMINATOR, 5);
  return f32x4.add(ratio, constant(HALVES, 0));
}

/** ln x for one x >= 1 up to 2^1023, in f64, error below 3e-16 relative to 1 + ln x; NaN stays NaN. */
export function log(x: f64): f64 {
  if (!(x < f64.MAX_VALUE)) return x;
  const bits = reinterpret<u64>(x);
  let exponent = <f64>(<i64>(bits >> 52) - 1023);
  let mantissa = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    exponent += 1;
  }
  // ln m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| <= 0.172.
  const s = (mantissa - 1) / (mantissa + 1);
  const u = s * s;
  let series: f64 = 1.0 / 17.0;
  series = series * u + 1.0 / 15.0;
  series = series * u + 1.0 / 13.0;
  series = series * u + 1.0 / 11.0;
  series = series * u + 1.0 / 9.0;
  series = series * u + 1.0 / 7.0;
  series = series * u + 1.0 / 5.0;
  series = series * u + 1.0 / 3.0;
  return exponent * 0.6931471805599453 + 2 * s * (1 + series * u);
}
