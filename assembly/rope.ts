/** Rotary position embedding (arXiv 2104.09864) in the half-split layout of Hugging Face's rotate_half. */
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";

/**
 * out[rows,heads*D]: in each head the pair (x[j], x[j + D/2]) turns by the angle of positions[r]
 * (i32[rows]), read from cos and sin [maxPositions,D/2]. `direction` -1 turns back: the backward pass.
 * May work in place.
 */
export function ropeF32(
  out: usize,
  inp: usize,
  cos: usize,
  sin: usize,
  positions: usize,
  rows: i32,
  heads: i32,
  D: i32,
  direction: f32,
): void {
  const half = D >> 1;
  const halfBytes = (<usize>half) << 2;
  const sign = f32x4.splat(direction);
  for (let r: i32 = 0; r < rows; r++) {
    const table = <usize>load<i32>(positions + ((<usize>r) << 2)) * halfBytes;
    for (let h: i32 = 0; h < heads; h++) {
      let at: usize = 0;
      for (; at + 16 <= halfBytes; at += 16) {
        rotate(out + at, inp + at, halfBytes, cos + table + at, sin + table + at, sign, 4);
      }
      const rest = half & 3;
      if (rest)
        rotate(out + at, inp + at, halfBytes, cos + table + at, sin + table + at, sign, rest);
      out += halfBytes * 2;
      inp += halfBytes * 2;
    }
  }
}

// @ts-ignore: decorator
@inline
function rotate(
  out: usize,
  inp: usize,
  toSecond: usize,
  cos: usize,
  sin: usize,
  sign: v128,
  count: i32,
): void {
  const c = loadLanes(cos, count);
  const s = f32x4.mul(loadLanes(sin, count), sign);
  const x = loadLanes(inp, count);
  const y = loadLanes(inp + toSecond, count);
  storeLanes(out, madd(x, c, f32x4.neg(f32x4.mul(y, s))), count);
  storeLanes(out + toSecond, madd(y, c, f32x4.mul(x, s)), count);
}
