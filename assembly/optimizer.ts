/** Optimiser steps over a flat range of n parameters. */
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";

/**
 * One step of AdamW (arXiv 1711.05101) in PyTorch's order. With g = grad gradScale:
 * param *= 1 - lr weightDecay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 * param -= lr / biasCorrection1 * m / (sqrt(v) / sqrt(biasCorrection2) + eps), where
 * biasCorrection is 1 - beta^step. The factors are f64, because 1 - 0.999 in f32 is off by 1.3e-5.
 */
export function adamWF32(
  param: usize,
  m: usize,
  v: usize,
  grad: usize,
  n: i32,
  lr: f64,
  beta1: f64,
  beta2: f64,
  eps: f64,
  weightDecay: f64,
  biasCorrection1: f64,
  biasCorrection2: f64,
  gradScale: f64,
): void {
  const keep = f32x4.splat(<f32>(1 - lr * weightDecay));
  const gain1 = f32x4.splat(<f32>(1 - beta1));
  const decay2 = f32x4.splat(<f32>beta2);
  const gain2 = f32x4.splat(<f32>(1 - beta2));
  const minusStep = f32x4.splat(<f32>(-lr / biasCorrection1));
  const inverseRoot = f32x4.splat(<f32>(1 / sqrt<f64>(biasCorrection2)));
  const floor = f32x4.splat(<f32>eps);
  const scale = f32x4.splat(<f32>gradScale);
  for (; n >= 4; n -= 4) {
    adamWLanes(
      param,
      m,
      v,
      grad,
      4,
      keep,
      gain1,
      decay2,
      gain2,
      minusStep,
      inverseRoot,
      floor,
      scale,
    );
    param += 16;
    m += 16;
    v += 16;
    grad += 16;
  }
  if (n > 0) {
    adamWLanes(
      param,
      m,
      v,
      grad,
      n,
      keep,
      gain1,
      decay2,
      gain2,
      minusStep,
      inverseRoot,
      floor,
      scale,
    );
  }
}

// @ts-ignore: decorator
@inline
function adamWLanes(
  param: usize,
  m: usize,
  v: usize,
  grad: usize,
  count: i32,
  keep: v128,
  gain1: v128,
  decay2: v128,
  gain2: v128,
  minusStep: v128,
  inverseRoot: v128,
  floor: v128,
  scale: v128,
): void {
  const g = f32x4.mul(loadLanes(grad, count), scale);
  const before = loadLanes(m, count);
  const first = madd(f32x4.sub(g, before), gain1, before);
  const second = madd(f32x4.mul(g, gain2), g, f32x4.mul(loadLanes(v, count), decay2));
  const root = madd(f32x4.sqrt(second), inverseRoot, floor);
  const decayed = f32x4.mul(loadLanes(param, count), keep);
  storeLanes(m, first, count);
  storeLanes(v, second, count);
  storeLanes(param, madd(f32x4.div(first, root), minusStep, decayed), count);
}

/**
 * One step of SGD in PyTorch's order: g = grad gradScale + weightDecay param;
 * momentum = mu momentum + g; param -= lr momentum. With pointer 0 for momentum: param -= lr g.
 */
export function sgdF32(
  param: usize,
  momentum: usize,
  grad: usize,
  n: i32,
  lr: f64,
  mu: f64,
  weightDecay: f64,
  gradScale: f64,
): void {
  const step = f32x4.splat(<f32>-lr);
  const inertia = f32x4.splat(<f32>mu);
  const decay = f32x4.splat(<f32>weightDecay);
  const scale = f32x4.splat(<f32>gradScale);
  for (; n >= 4; n -= 4) {
    sgdLanes(param, momentum, grad, 4, step, inertia, decay, scale);
    param += 16;
    momentum += momentum ? 16 : 0;
    grad += 16;
  }
  if (n > 0) sgdLanes(param, momentum, grad, n, step, inertia, decay, scale);
}

// @ts-ignore: decorator
@inline
function sgdLanes(
  param: usize,
  momentum: usize,
  grad: usize,
  count: i32,
  step: v128,
  inertia: v128,
  decay: v128,
  scale: v128,
): void {
  const p = loadLanes(param, count);
  let g = madd(p, decay, f32x4.mul(loadLanes(grad, count), scale));
  if (momentum) {
    g = madd(loadLanes(momentum, count), inertia, g);
    storeLanes(momentum, g, count);
  }
  storeLanes(param, madd(g, step, p), count);
}
