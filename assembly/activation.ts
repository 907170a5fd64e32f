/**
 * Activations and their derivatives on rows of n floats; `out` may be the input.
 *
 * Derivatives bound their argument where the result no longer changes, so that an infinite input
 * gives the limit. Forward, x times a factor that vanishes gives NaN at -inf, as in PyTorch.
 */
import { bell, exp, normalCdf, sigmoid, tanh } from "./math";
import { map1, map2 } from "./loops";
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";

const INVERSE_SQRT_2PI: f32 = 0.3989422804014327;
// gelu in its tanh form is x * sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
const GELU_TANH_LINEAR: f32 = 1.5957691216057308;
const GELU_TANH_CUBIC: f32 = 0.07135481627260025;
// Beyond these bounds the derivatives are 0 or 1 to the last bit.
const GELU_BOUND: f32 = 14.5;
const SILU_BOUND: f32 = 104;

// @ts-ignore: decorator
@inline
function bounded(x: v128, bound: f32): v128 {
  return f32x4.pmax(f32x4.pmin(x, f32x4.splat(bound)), f32x4.splat(-bound));
}

/** Derivative of x s(z): s + x z' s (1 - s), where s is the logistic function and z' = dz/dx. */
// @ts-ignore: decorator
@inline
function gateSlope(x: v128, z: v128, slope: v128): v128 {
  // From e^-|z| both s and 1 - s come without cancellation.
  const e = exp(f32x4.neg(f32x4.abs(z)));
  const larger = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), e));
  const smaller = f32x4.mul(e, larger);
  const s = v128.bitselect(smaller, larger, f32x4.lt(z, f32x4.splat(0)));
  return madd(f32x4.mul(x, slope), f32x4.mul(smaller, larger), s);
}

// @ts-ignore: decorator
@inline
function siluSlope(x: v128): v128 {
  const b = bounded(x, SILU_BOUND);
  return gateSlope(b, b, f32x4.splat(1));
}

// @ts-ignore: decorator
@unmanaged
class Gelu {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return f32x4.mul(x, normalCdf(x, bell(x)));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    const b = bounded(x, GELU_BOUND);
    const e = bell(b);
    const density = f32x4.mul(e, f32x4.splat(INVERSE_SQRT_2PI));
    return f32x4.mul(d, madd(b, density, normalCdf(b, e)));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluTanh {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    const cubic = madd(f32x4.mul(x, x), f32x4.splat(GELU_TANH_CUBIC), f32x4.splat(GELU_TANH_LINEAR));
    return f32x4.mul(x, sigmoid(f32x4.mul(x, cubic)));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluTanhGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    const b = bounded(x, GELU_BOUND);
    const u = f32x4.mul(b, b);
    const cubic = madd(u, f32x4.splat(GELU_TANH_CUBIC), f32x4.splat(GELU_TANH_LINEAR));
    const slope = madd(u, f32x4.splat(3 * GELU_TANH_CUBIC), f32x4.splat(GELU_TANH_LINEAR));
    return f32x4.mul(d, gateSlope(b, f32x4.mul(b, cubic), slope));
  }
}

// @ts-ignore: decorator
@unmanaged
class Silu {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return f32x4.mul(x, sigmoid(x));
  }
}

// @ts-ignore: decorator
@unmanaged
class SiluGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    return f32x4.mul(d, siluSlope(x));
  }
}

// @ts-ignore: decorator
@unmanaged
class Relu {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return f32x4.pmax(x, f32x4.splat(0));
  }
}

// @ts-ignore: decorator
@unmanaged
class ReluGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    return v128.andnot(d, f32x4.le(x, f32x4.splat(0)));
  }
}

// @ts-ignore: decorator
@unmanaged
class Tanh {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return tanh(x);
  }
}

// @ts-ignore: decorator
@unmanaged
class TanhGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, y: v128, k: v128): v128 {
    return f32x4.mul(d, f32x4.sub(f32x4.splat(1), f32x4.mul(y, y)));
  }
}

// @ts-ignore: decorator
@unmanaged
class SiluMultiply {
  // @ts-ignore: decorator
  @inline
  of(g: v128, u: v128, k: v128): v128 {
    return f32x4.mul(f32x4.mul(g, sigmoid(g)), u);
  }
}

/** out[n] = x Phi(x), the erf form of Hendrycks and Gimpel (arXiv 1606.08415) */
export function geluF32(out: usize, inp: usize, n: i32): void {
  map1<Gelu>(out, inp, n);
}

/** dInp[n] = dOut (Phi(x) + x phi(x)) */
export function geluBackwardF32(dInp: usize, dOut: usize, inp: usize, n: i32): void {
  map2<GeluGradient>(dInp, dOut, inp, n);
}

/** out[n] = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
export function geluTanhF32(out: usize, inp: usize, n: i32): void {
  map1<GeluTanh>(out, inp, n);
}

/** dInp[n] = dOut times the derivative of geluTanhF32 at x */
export function geluTanhBackwardF32(dInp: usize, dOut: usize, inp: usize, n: i32): void {
  map2<GeluTanhGradient>(dInp, dOut, inp, n);
}

/** out[n] = x sigmoid(x) */
export function siluF32(out: usize, inp: usize, n: i32): void {
  map1<Silu>(out, inp, n);
}

/** dInp[n] = dOut (s + x s (1 - s)) with s = sigmoid(x) */
export function siluBackwardF32(dInp: usize, dOut: usize, inp: usize, n: i32): void {
  map2<SiluGradient>(dInp, dOut, inp, n);
}

/** out[n] = max(x, 0) */
export function reluF32(out: usize, inp: usize, n: i32): void {
  map1<Relu>(out, inp, n);
}

/** dInp[n] = 0 where x <= 0, else dOut */
export function reluBackwardF32(dInp: usize, dOut: usize, inp: usize, n: i32): void {
  map2<ReluGradient>(dInp, dOut, inp, n);
}

/** out[n] = tanh(x) */
export function tanhF32(out: usize, inp: usize, n: i32): void {
  map1<Tanh>(out, inp, n);
}

/** dInp[n] = dOut (1 - out^2), from the saved output of tanhF32. */
export function tanhBackwardF32(dInp: usize, dOut: usize, out: usize, n: i32): void {
  map2<TanhGradient>(dInp, dOut, out, n);
}

/** out[n] = silu(gate) up, the gated unit of Llama (arXiv 2002.05202). */
export function siluMulF32(out: usize, gate: usize, up: usize, n: i32): void {
  map2<SiluMultiply>(out, gate, up, n);
}

/** dGate[n] = dOut up silu'(gate), dUp[n] = dOut silu(gate) */
export function siluMulBackwardF32(
  dGate: usize, dUp: usize, dOut: usize, gate: usize, up: usize, n: i32,
): void {
  let left = n;
  for (; left >= 4; left -= 4) {
    siluMulGradient(dGate, dUp, dOut, gate, up, 4);
    dGate += 16;
    dUp += 16;
    dOut += 16;
    gate += 16;
    up += 16;
  }
  if (left > 0) siluMulGradient(dGate, dUp, dOut, gate, up, left);
}

// @ts-ignore: decorator
@inline
function siluMulGradient(
  dGate: usize, dUp: usize, dOut: usize, gate: usize, up: usize, count: i32,
): void {
  const d = loadLanes(dOut, count);
  const u = loadLanes(up, count);
  const g = loadLanes(gate, count);
  storeLanes(dGate, f32x4.mul(f32x4.mul(d, u), siluSlope(g)), count);
  storeLanes(dUp, f32x4.mul(d, f32x4.mul(g, sigmoid(g))), count);
}
