/** Cross entropy of logits against class numbers, with an ignored label, and its gradient. */
import { exp, log } from "./math";
import { Adding, fold1 } from "./loops";
import { loadLanes, storeLanes } from "./lanes";
import { sumLanes } from "./simd";
import { largest } from "./softmax";

// @ts-ignore: decorator
@unmanaged
class SumExp extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, x: v128, top: v128): v128 {
    return f32x4.add(acc, exp(f32x4.sub(x, top)));
  }
}

/**
 * losses[rows] = lse - logits[label] and lse[rows] = ln sum exp(logits) over logits[rows,cols].
 * labels is i32[rows]; `ignoreIndex` gives loss 0 and lse 0, any other label outside 0 to cols - 1 NaN.
 */
export function crossEntropyF32(
  losses: usize,
  lse: usize,
  logits: usize,
  labels: usize,
  rows: i32,
  cols: i32,
  ignoreIndex: i32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++, logits += bytes) {
    const label = load<i32>(labels + ((<usize>r) << 2));
    let loss: f64 = 0;
    let total: f64 = 0;
    if (label != ignoreIndex) {
      const top = largest(logits, cols);
      const rest = log(<f64>sumLanes(fold1<SumExp>(logits, cols, f32x4.splat(top))));
      total = <f64>top + rest;
      // The maximum cancels before anything is rounded: small losses keep their digits.
      loss = isClass(label, cols)
        ? <f64>top - <f64>load<f32>(logits + ((<usize>label) << 2)) + rest
        : NaN;
    }
    store<f32>(losses + ((<usize>r) << 2), <f32>loss);
    store<f32>(lse + ((<usize>r) << 2), <f32>total);
  }
}

// @ts-ignore: decorator
@inline
function isClass(label: i32, cols: i32): bool {
  return <u32>label < <u32>cols;
}

/**
 * dLogits[rows,cols] = scale (softmax(logits) - onehot(label)) with the saved lse; rows of ignoreIndex
 * become 0, rows of a label that is no class NaN. May work in place.
 */
export function crossEntropyBackwardF32(
  dLogits: usize,
  lse: usize,
  logits: usize,
  labels: usize,
  rows: i32,
  cols: i32,
  ignoreIndex: i32,
  scale: f32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++) {
    const label = load<i32>(labels + ((<usize>r) << 2));
    if (label == ignoreIndex) {
      memory.fill(dLogits, 0, bytes);
    } else {
      const total = f32x4.splat(load<f32>(lse + ((<usize>r) << 2)));
      const factor = f32x4.splat(isClass(label, cols) ? scale : NaN);
      let at: usize = 0;
      for (; at + 16 <= bytes; at += 16) scaledSoftmax(dLogits + at, logits + at, total, factor, 4);
      if (cols & 3) scaledSoftmax(dLogits + at, logits + at, total, factor, cols & 3);
      if (isClass(label, cols)) {
        const target = dLogits + ((<usize>label) << 2);
        store<f32>(target, load<f32>(target) - scale);
      }
    }
    dLogits += bytes;
    logits += bytes;
  }
}

// @ts-ignore: decorator
@inline
function scaledSoftmax(out: usize, logits: usize, total: v128, factor: v128, count: i32): void {
  const p = exp(f32x4.sub(loadLanes(logits, count), total));
  storeLanes(out, f32x4.mul(p, factor), count);
}
