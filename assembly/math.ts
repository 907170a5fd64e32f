/** Elementary functions on four f32 lanes; each states its range and its measured error. */
import { madd } from "./simd";

// Adding 1.5 * 2^23 rounds a float below 2^22 to an integer, which then stands in the low mantissa bits.
const ROUNDER: f32 = 12582912.0;
const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts; the upper one has 9 bits, so its product with any exponent is exact.
const LN2_UPPER: f32 = 0.693359375;
const LN2_LOWER: f32 = -2.12194440e-4;

/**
 * e^x over all floats: 0 below -104, denormals kept, inf above 88.7, NaN stays NaN.
 * Relative error below 1.2e-7 where the result is normal. Coefficients: minimax fit of degree 6 on
 * [-ln2/2, ln2/2].
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  // The operand order lets NaN through: pmin(a, b) is b < a ? b : a.
  const bounded = f32x4.pmax(f32x4.pmin(x, f32x4.splat(89)), f32x4.splat(-104));
  const rounded = madd(bounded, f32x4.splat(LOG2_E), f32x4.splat(ROUNDER));
  const n = f32x4.sub(rounded, f32x4.splat(ROUNDER));
  let r = madd(n, f32x4.splat(-LN2_UPPER), bounded);
  r = madd(n, f32x4.splat(-LN2_LOWER), r);
  let p = f32x4.splat(1.381459878757596e-3);
  p = madd(p, r, f32x4.splat(8.368716575205326e-3));
  p = madd(p, r, f32x4.splat(4.166838899254799e-2));
  p = madd(p, r, f32x4.splat(1.666652113199234e-1));
  p = madd(p, r, f32x4.splat(4.999999403953552e-1));
  p = madd(madd(p, r, f32x4.splat(1)), r, f32x4.splat(1));
  // 2^n as a product of two powers: n reaches from -150 to 128, an exponent only from -126 to 127.
  const exponent = i32x4.sub(rounded, i32x4.splat(reinterpret<i32>(ROUNDER)));
  const half = i32x4.shr_s(exponent, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(exponent, half)));
}

/** 2^n for integer lanes n from -126 to 127. */
// @ts-ignore: decorator
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** 1 / (1 + e^-x) over all floats; relative error below 3e-7 where the result is normal. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp(f32x4.neg(x))));
}

/**
 * tanh over all floats, never beyond -1 and 1; relative error below 4e-7.
 * x P(x^2) / Q(x^2), minimax fit on [0, 9.1], where tanh reaches 1 in f32.
 */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const bounded = f32x4.pmax(f32x4.pmin(x, f32x4.splat(9.1)), f32x4.splat(-9.1));
  const u = f32x4.mul(bounded, bounded);
  let p = f32x4.splat(1.3177531294346649e-8);
  p = madd(p, u, f32x4.splat(2.0481191979022993e-5));
  p = madd(p, u, f32x4.splat(3.487811295778519e-3));
  p = madd(p, u, f32x4.splat(1.3374475361434887e-1));
  p = madd(p, u, f32x4.splat(9.999999771859712e-1));
  let q = f32x4.splat(7.704049456793125e-7);
  q = madd(q, u, f32x4.splat(3.272920648648818e-4));
  q = madd(q, u, f32x4.splat(2.5847389418645363e-2));
  q = madd(q, u, f32x4.splat(4.670778913772189e-1));
  q = madd(q, u, f32x4.splat(1));
  const ratio = f32x4.div(f32x4.mul(bounded, p), q);
  return f32x4.pmax(f32x4.pmin(ratio, f32x4.splat(1)), f32x4.splat(-1));
}

/** The bell e^(-x^2/2) that normalCdf and the density of the normal distribution share. */
// @ts-ignore: decorator
@inline
export function bell(x: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), f32x4.splat(14.5));
  return exp(f32x4.mul(f32x4.mul(a, a), f32x4.splat(-0.5)));
}

/**
 * The normal distribution function (1 + erf(x / sqrt 2)) / 2 over all floats, given bell(x).
 * Relative error below 4e-7 for x > -4 and below 1.5e-5 in the tail down to 1e-38; 0 below -14.5.
 * The tail beyond |x| is bell(x) times Mills' ratio, which is fitted by P(|x|) / Q(|x|), minimax in
 * relative error on [0, 14.5]; unlike 1 + erf it does not cancel for negative x.
 */
// @ts-ignore: decorator
@inline
export function normalCdf(x: v128, bellOfX: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), f32x4.splat(14.5));
  let p = f32x4.splat(4.116308746136623e-3);
  p = madd(p, a, f32x4.splat(4.063321914980531e-2));
  p = madd(p, a, f32x4.splat(1.832351082624836e-1));
  p = madd(p, a, f32x4.splat(4.38294898364624e-1));
  p = madd(p, a, f32x4.splat(0.5));
  let q = f32x4.splat(1.0317936144823736e-2);
  q = madd(q, a, f32x4.splat(1.0185882313410753e-1));
  q = madd(q, a, f32x4.splat(4.694705542907674e-1));
  q = madd(q, a, f32x4.splat(1.2025029990519014));
  q = madd(q, a, f32x4.splat(1.6744747780052052));
  q = madd(q, a, f32x4.splat(1));
  const tail = f32x4.mul(bellOfX, f32x4.div(p, q));
  return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
}

/** ln x for one x >= 1 up to 2^1023, in f64, error below 1e-15 relative to 1 + ln x; NaN stays NaN. */
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
