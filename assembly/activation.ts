/**
 * Activations and their derivatives on rows of n floats; `out` may be the input.
 *
 * Derivatives bound their argument where the result no longer changes, so that an infinite input
 * gives the limit. Forward, x times a factor that vanishes gives NaN at -inf, as in PyTorch.
 */
import { clamp, constant, expWithin, geluSlope, normalCdf, one, sigmoid, tanh } from "./math";
import { map1, map2 } from "./loops";
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";

// gelu in its tanh form is x sigmoid(z) with z = 2 sqrt(2 / pi) (x + 0.044715 x^3).
const GELU_TANH: usize = memory.data<f32>([
  1.595769122, 0.0713548163, 0.2140644488,
]);
// At these arguments of a gate e^-z is still finite and the derivative within 1e-35 of its limit.
const SILU_BOUNDS: usize = memory.data<f32>([-87, 87]);
const GELU_TANH_BOUNDS: usize = memory.data<f32>([-9.9, 9.9]);

/** z(x) / x = a + b x^2 of the tanh form, from u = x^2; `power` 2 takes 3 b, which gives z'(x). */
// @ts-ignore: decorator
@inline
function geluTanhFactor(u: v128, power: i32): v128 {
  return madd(u, constant(GELU_TANH, power), constant(GELU_TANH, 0));
}

/** Derivative s + x z' s (1 - s) of x s(z), given s(z) = 1 / (1 + e) with e = e^-z. */
// @ts-ignore: decorator
@inline
function gateSlope(xSlope: v128, s: v128, e: v128): v128 {
  // e s is 1 - s without its cancellation.
  return madd(f32x4.mul(xSlope, f32x4.mul(e, s)), s, s);
}

// @ts-ignore: decorator
@inline
function inverseOfOnePlus(e: v128): v128 {
  return f32x4.div(one(), f32x4.add(one(), e));
}

// @ts-ignore: decorator
@unmanaged
class Gelu {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return f32x4.mul(x, normalCdf(x));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    return f32x4.mul(d, geluSlope(x));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluTanh {
  // @ts-ignore: decorator
  @inline
  of(x: v128, k: v128): v128 {
    return f32x4.mul(x, sigmoid(f32x4.mul(x, geluTanhFactor(f32x4.mul(x, x), 1))));
  }
}

// @ts-ignore: decorator
@unmanaged
class GeluTanhGradient {
  // @ts-ignore: decorator
  @inline
  of(d: v128, x: v128, k: v128): v128 {
    const b = clamp(x, GELU_TANH_BOUNDS);
    const u = f32x4.mul(b, b);
    const e = expWithin(f32x4.neg(f32x4.mul(b, geluTanhFactor(u, 1))));
    return f32x4.mul(d, gateSlope(f32x4.mul(b, geluTanhFactor(u, 2)), inverseOfOnePlus(e), e));
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
    const b = clamp(x, SILU_BOUNDS);
    const e = expWithin(f32x4.neg(b));
    return f32x4.mul(d, gateSlope(b, inverseOfOnePlus(e), e));
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
    return f32x4.mul(d, f32x4.sub(one(), f32x4.mul(y, y)));
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
  dGate: usize,
  dUp: usize,
  dOut: usize,
  gate: usize,
  up: usize,
  n: i32,
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
  dGate: usize,
  dUp: usize,
  dOut: usize,
  gate: usize,
  up: usize,
  count: i32,
): void {
  const d = loadLanes(dOut, count);
  const u = loadLanes(up, count);
  const g = loadLanes(gate, count);
  const b = clamp(g, SILU_BOUNDS);
  const e = expWithin(f32x4.neg(b));
  const s = inverseOfOnePlus(e);
  storeLanes(dGate, f32x4.mul(f32x4.mul(d, u), gateSlope(b, s, e)), count);
  storeLanes(dUp, f32x4.mul(d, f32x4.mul(g, s)), count);
}
