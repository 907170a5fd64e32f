/** Cross entropy of logits against class numbers, with an ignored label, and its gradient. */
import { exp, log } from "./math";
import { Adding, fold1, map1 } from "./loops";
import { laneMask, loadLanes, storeLanes } from "./lanes";
import { Scale, Sum } from "./ops";
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
 * losses[rows] = ln sum exp(logits) - logits[label] over logits[rows,cols]; saves sums[rows] = sum exp(logits - top),
 * top the row's largest. labels is i32[rows]; `ignoreIndex` gives loss 0 and sum 0, any other label outside 0 to
 * cols - 1 gives NaN.
 */
export function crossEntropyF32(
  losses: usize,
  sums: usize,
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
    let sum: f32 = 0;
    if (label != ignoreIndex) {
      const top = largest(logits, cols);
      sum = sumLanes(fold1<SumExp>(logits, cols, f32x4.splat(top)));
      // The maximum cancels before anything is rounded: small losses keep their digits.
      loss = isClass(label, cols)
        ? <f64>top - <f64>load<f32>(logits + ((<usize>label) << 2)) + log(<f64>sum)
        : NaN;
    }
    store<f32>(losses + ((<usize>r) << 2), <f32>loss);
    store<f32>(sums + ((<usize>r) << 2), sum);
  }
}

// @ts-ignore: decorator
@inline
function isClass(label: i32, cols: i32): bool {
  return <u32>label < <u32>cols;
}

/**
 * dLogits[rows,cols] = scale (softmax(logits) - onehot(label)) with the saved sums; rows of ignoreIndex
 * become 0, rows of a label that is no class NaN. May work in place. The label's element is the negative sum
 * of the others: softmax - 1 would cancel where the model is nearly right.
 */
export function crossEntropyBackwardF32(
  dLogits: usize,
  sums: usize,
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
      const top = f32x4.splat(largest(logits, cols));
      const share = scale / load<f32>(sums + ((<usize>r) << 2));
      const factor = f32x4.splat(isClass(label, cols) ? share : NaN);
      let at: usize = 0;
      for (; at + 16 <= bytes; at += 16) scaledExp(dLogits + at, logits + at, top, factor, 4);
      if (cols & 3) scaledExp(dLogits + at, logits + at, top, factor, cols & 3);
      if (isClass(label, cols)) {
        const target = dLogits + ((<usize>label) << 2);
        store<f32>(target, 0);
        store<f32>(target, -sumLanes(fold1<Sum>(dLogits, cols)));
      }
    }
    dLogits += bytes;
    logits += bytes;
  }
}

// @ts-ignore: decorator
@inline
function scaledExp(out: usize, logits: usize, top: v128, factor: v128, count: i32): void {
  const p = exp(f32x4.sub(loadLanes(logits, count), top));
  storeLanes(out, f32x4.mul(p, factor), count);
}

/**
 * Both in one go, where the gradient's scale is known beforehand: losses[rows] of logits[rows,cols], and the logits
 * become scale (softmax(logits) - onehot(label)). Labels as in crossEntropyF32 and its gradient; every exponential is
 * computed once.
 */
export function crossEntropyInPlaceF32(
  losses: usize,
  logits: usize,
  labels: usize,
  rows: i32,
  cols: i32,
  ignoreIndex: i32,
  scale: f32,
): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++, logits += bytes) {
    const label = load<i32>(labels + ((<usize>r) << 2));
    let loss: f64 = 0;
    if (label == ignoreIndex) {
      memory.fill(logits, 0, bytes);
    } else if (isClass(label, cols)) {
      const top = largest(logits, cols);
      const target = logits + ((<usize>label) << 2);
      const x = load<f32>(target);
      // Without the label's element this is the sum of the others, which its gradient needs to the last digit.
      store<f32>(target, -Infinity);
      const others = sumLanes(expRow(logits, cols, f32x4.splat(top)));
      const own = f32x4.extract_lane(exp(f32x4.splat(x - top)), 0);
      const sum = others + own;
      loss = <f64>top - <f64>x + log(<f64>sum);
      const share = scale / sum;
      map1<Scale>(logits, logits, cols, f32x4.splat(share));
      store<f32>(target, -(others * share));
    } else {
      loss = NaN;
      map1<Scale>(logits, logits, cols, f32x4.splat(NaN));
    }
    store<f32>(losses + ((<usize>r) << 2), <f32>loss);
  }
}

/** row[n] becomes exp(row - top); four partial sums of it. */
// @ts-ignore: decorator
@inline
function expRow(row: usize, n: i32, top: v128): v128 {
  const end = row + ((<usize>n) << 2);
  let s0 = f32x4.splat(0);
  let s1 = s0;
  for (; row + 32 <= end; row += 32) {
    const a = exp(f32x4.sub(v128.load(row), top));
    const b = exp(f32x4.sub(v128.load(row, 16), top));
    s0 = f32x4.add(s0, a);
    s1 = f32x4.add(s1, b);
    v128.store(row, a);
    v128.store(row, b, 16);
  }
  if (row + 16 <= end) {
    const a = exp(f32x4.sub(v128.load(row), top));
    s0 = f32x4.add(s0, a);
    v128.store(row, a);
    row += 16;
  }
  const rest = n & 3;
  if (rest) {
    const b = v128.and(exp(f32x4.sub(loadLanes(row, rest), top)), laneMask(rest));
    s1 = f32x4.add(s1, b);
    storeLanes(row, b, rest);
  }
  return f32x4.add(s0, s1);
}
