/** Softmax over rows whose valid entries come first. */
import { exp } from "./math";
import { Largest, fold1, map1 } from "./loops";
import { laneMask, loadLanes, storeLanes } from "./lanes";
import { Scale } from "./ops";
import { sumLanes } from "./simd";

// @ts-ignore: decorator
@unmanaged
class Maximum extends Largest {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, x: v128, k: v128): v128 {
    return f32x4.pmax(acc, x);
  }
}

/** The largest number in inp[n]; -inf when there is none. */
// @ts-ignore: decorator
@inline
export function largest(inp: usize, n: i32): f32 {
  const four = fold1<Maximum>(inp, n);
  const two = f32x4.pmax(four, v128.shuffle<f32>(four, four, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(two, v128.shuffle<f32>(two, two, 1, 0, 3, 2)), 0);
}

/**
 * One row of softmax: out[0..count) from inp[0..count), zeros up to `cols`; may work in place.
 * The maximum is subtracted first, so no finite input overflows; NaN or +inf makes the row NaN.
 */
export function softmaxRow(out: usize, inp: usize, count: i32, cols: i32): void {
  const top = f32x4.splat(largest(inp, count));
  let s0 = f32x4.splat(0);
  let s1 = s0;
  const bytes = (<usize>count) << 2;
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    const a = exp(f32x4.sub(v128.load(inp + at), top));
    const b = exp(f32x4.sub(v128.load(inp + at, 16), top));
    s0 = f32x4.add(s0, a);
    s1 = f32x4.add(s1, b);
    v128.store(out + at, a);
    v128.store(out + at, b, 16);
  }
  if (at + 16 <= bytes) {
    const a = exp(f32x4.sub(v128.load(inp + at), top));
    s0 = f32x4.add(s0, a);
    v128.store(out + at, a);
    at += 16;
  }
  const rest = count & 3;
  if (rest) {
    const b = v128.and(exp(f32x4.sub(loadLanes(inp + at, rest), top)), laneMask(rest));
    s1 = f32x4.add(s1, b);
    storeLanes(out + at, b, rest);
  }
  map1<Scale>(out, out, count, f32x4.splat(1 / sumLanes(f32x4.add(s0, s1))));
  if (cols > count) memory.fill(out + bytes, 0, (<usize>(cols - count)) << 2);
}

/**
 * out[rows,cols] = softmax of the first lengths[r] entries of each row, 0 behind them.
 * lengths is i32[rows], or pointer 0 for whole rows; a row of length 0 becomes zeros.
 */
export function softmaxF32(out: usize, inp: usize, lengths: usize, rows: i32, cols: i32): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++) {
    softmaxRow(out, inp, lengths ? validLength(lengths, r, cols) : cols, cols);
    out += bytes;
    inp += bytes;
  }
}

/** lengths[i] within 0 to `most`. */
// @ts-ignore: decorator
@inline
function validLength(lengths: usize, i: i32, most: i32): i32 {
  return max<i32>(0, min<i32>(load<i32>(lengths + ((<usize>i) << 2)), most));
}
