/** Layer norm and RMS norm over the last dimension of inp[rows,cols]; backward uses what forward saved. */
import { Adding, fold1, map2 } from "./loops";
import { loadLanes, storeLanes } from "./lanes";
import { Add, Sum } from "./ops";
import { madd, sumLanes } from "./simd";

// @ts-ignore: decorator
@unmanaged
class SumSquares extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, x: v128, center: v128): v128 {
    const distance = f32x4.sub(x, center);
    return madd(distance, distance, acc);
  }
}

// @ts-ignore: decorator
@unmanaged
class ScaledProduct {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128, scale: v128): v128 {
    return f32x4.mul(f32x4.mul(a, scale), b);
  }
}

/** out[rows,cols] = (inp - mean) rstd weight + bias; mean[rows] and rstd[rows] are saved. */
export function layerNormF32(
  out: usize,
  mean: usize,
  rstd: usize,
  inp: usize,
  weight: usize,
  bias: usize,
  rows: i32,
  cols: i32,
  eps: f32,
): void {
  const bytes = (<usize>cols) << 2;
  const width = <f32>cols;
  for (let r: i32 = 0; r < rows; r++) {
    const center = sumLanes(fold1<Sum>(inp, cols)) / width;
    const spread = sumLanes(fold1<SumSquares>(inp, cols, f32x4.splat(center))) / width;
    const scale: f32 = 1 / sqrt<f32>(spread + eps);
    const centers = f32x4.splat(center);
    const scales = f32x4.splat(scale);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) normalize(out, inp, weight, bias, at, 4, centers, scales);
    const rest = cols & 3;
    if (rest) normalize(out, inp, weight, bias, at, rest, centers, scales);
    store<f32>(mean + ((<usize>r) << 2), center);
    store<f32>(rstd + ((<usize>r) << 2), scale);
    inp += bytes;
    out += bytes;
  }
}

// @ts-ignore: decorator
@inline
function normalize(
  out: usize,
  inp: usize,
  weight: usize,
  bias: usize,
  at: usize,
  count: i32,
  centers: v128,
  scales: v128,
): void {
  const x = normalized(loadLanes(inp + at, count), centers, scales);
  storeLanes(out + at, madd(x, loadLanes(weight + at, count), loadLanes(bias + at, count)), count);
}

/**
 * With x' = (inp - mean) rstd and g = dOut weight: dInp = rstd (g - mean(g) - x' mean(g x')).
 * dWeight += dOut x' and dBias += dOut over the rows; either pointer may be 0. dInp is overwritten.
 */
export function layerNormBackwardF32(
  dInp: usize,
  dWeight: usize,
  dBias: usize,
  dOut: usize,
  inp: usize,
  mean: usize,
  rstd: usize,
  weight: usize,
  rows: i32,
  cols: i32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++) {
    const centers = f32x4.splat(load<f32>(mean + ((<usize>r) << 2)));
    const scales = f32x4.splat(load<f32>(rstd + ((<usize>r) << 2)));
    if (dBias) map2<Add>(dBias, dBias, dOut, cols);
    if (dWeight) addNormalized(dWeight, dOut, inp, cols, centers, scales);
    backwardRow(dInp, dOut, inp, weight, cols, centers, scales, true);
    dInp += bytes;
    dOut += bytes;
    inp += bytes;
  }
}

/** out[rows,cols] = inp rstd weight with rstd[rows] = 1 / sqrt(mean(inp^2) + eps) saved (arXiv 1910.07467). */
export function rmsNormF32(
  out: usize,
  rstd: usize,
  inp: usize,
  weight: usize,
  rows: i32,
  cols: i32,
  eps: f32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++) {
    const square = sumLanes(fold1<SumSquares>(inp, cols)) / <f32>cols;
    const scale: f32 = 1 / sqrt<f32>(square + eps);
    map2<ScaledProduct>(out, inp, weight, cols, f32x4.splat(scale));
    store<f32>(rstd + ((<usize>r) << 2), scale);
    inp += bytes;
    out += bytes;
  }
}

/** The backward of layerNormBackwardF32 with mean 0 and without the term mean(g); dWeight may be 0. */
export function rmsNormBackwardF32(
  dInp: usize,
  dWeight: usize,
  dOut: usize,
  inp: usize,
  rstd: usize,
  weight: usize,
  rows: i32,
  cols: i32,
): void {
  const bytes = (<usize>cols) << 2;
  const centers = f32x4.splat(0);
  for (let r: i32 = 0; r < rows; r++) {
    const scales = f32x4.splat(load<f32>(rstd + ((<usize>r) << 2)));
    if (dWeight) addNormalized(dWeight, dOut, inp, cols, centers, scales);
    backwardRow(dInp, dOut, inp, weight, cols, centers, scales, false);
    dInp += bytes;
    dOut += bytes;
    inp += bytes;
  }
}

// @ts-ignore: decorator
@inline
function normalized(x: v128, centers: v128, scales: v128): v128 {
  return f32x4.mul(f32x4.sub(x, centers), scales);
}

/** dWeight[cols] += dOut x' for one row. */
function addNormalized(
  dWeight: usize,
  dOut: usize,
  inp: usize,
  cols: i32,
  centers: v128,
  scales: v128,
): void {
  const bytes = (<usize>cols) << 2;
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) {
    const x = normalized(v128.load(inp + at), centers, scales);
    v128.store(dWeight + at, madd(v128.load(dOut + at), x, v128.load(dWeight + at)));
  }
  const rest = cols & 3;
  if (rest) {
    const x = normalized(loadLanes(inp + at, rest), centers, scales);
    const sum = madd(loadLanes(dOut + at, rest), x, loadLanes(dWeight + at, rest));
    storeLanes(dWeight + at, sum, rest);
  }
}

/** One row of dInp; `centered` is a constant of the caller and decides about mean(g). */
// @ts-ignore: decorator
@inline
function backwardRow(
  dInp: usize,
  dOut: usize,
  inp: usize,
  weight: usize,
  cols: i32,
  centers: v128,
  scales: v128,
  centered: bool,
): void {
  const bytes = (<usize>cols) << 2;
  const rest = cols & 3;
  let g0 = f32x4.splat(0);
  let g1 = g0;
  let p0 = g0;
  let p1 = g0;
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    const a = f32x4.mul(v128.load(dOut + at), v128.load(weight + at));
    const b = f32x4.mul(v128.load(dOut + at, 16), v128.load(weight + at, 16));
    g0 = f32x4.add(g0, a);
    g1 = f32x4.add(g1, b);
    p0 = madd(a, normalized(v128.load(inp + at), centers, scales), p0);
    p1 = madd(b, normalized(v128.load(inp + at, 16), centers, scales), p1);
  }
  if (at + 16 <= bytes) {
    const a = f32x4.mul(v128.load(dOut + at), v128.load(weight + at));
    g0 = f32x4.add(g0, a);
    p0 = madd(a, normalized(v128.load(inp + at), centers, scales), p0);
    at += 16;
  }
  if (rest) {
    const b = f32x4.mul(loadLanes(dOut + at, rest), loadLanes(weight + at, rest));
    g1 = f32x4.add(g1, b);
    p1 = madd(b, normalized(loadLanes(inp + at, rest), centers, scales), p1);
  }
  const width = <f32>cols;
  const meanG = centered ? f32x4.splat(sumLanes(f32x4.add(g0, g1)) / width) : f32x4.splat(0);
  const meanP = f32x4.splat(-sumLanes(f32x4.add(p0, p1)) / width);
  for (at = 0; at + 16 <= bytes; at += 16) {
    storeInputGradient(dInp, dOut, inp, weight, at, 4, centers, scales, meanG, meanP);
  }
  if (rest) storeInputGradient(dInp, dOut, inp, weight, at, rest, centers, scales, meanG, meanP);
}

// @ts-ignore: decorator
@inline
function storeInputGradient(
  dInp: usize,
  dOut: usize,
  inp: usize,
  weight: usize,
  at: usize,
  count: i32,
  centers: v128,
  scales: v128,
  meanG: v128,
  minusMeanP: v128,
): void {
  const g = f32x4.mul(loadLanes(dOut + at, count), loadLanes(weight + at, count));
  const x = normalized(loadLanes(inp + at, count), centers, scales);
  const inner = madd(x, minusMeanP, f32x4.sub(g, meanG));
  storeLanes(dInp + at, f32x4.mul(scales, inner), count);
}
