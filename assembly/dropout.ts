/** Dropout from a counter-based hash: the same seed gives the same mask, so nothing is saved. */
import { loadLanes, storeLanes } from "./lanes";

// Wellons and "TheIronBorn", hash-prospector: a 32-bit mixer with low bias.
const MIX_FIRST: i32 = 0x21f0aaad;
const MIX_SECOND: i32 = 0x735a2d97;
// 2^32 / golden ratio: spreads consecutive counters.
const STEP: i32 = <i32>0x9e3779b9;

// @ts-ignore: decorator
@inline
function mix(x: v128): v128 {
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), i32x4.splat(MIX_FIRST));
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 15)), i32x4.splat(MIX_SECOND));
  return v128.xor(x, i32x4.shr_u(x, 15));
}

/**
 * out[n] = inp[n] * scale, or 0 where hash(seed, i) < threshold as unsigned numbers.
 * The mask depends on the 64-bit seed and the index only, where the first element has the index `from`: a
 * call for each part of a tensor drops what one for the whole of it does. Applied to dOut the call is its
 * own backward.
 */
export function dropoutF32(
  out: usize,
  inp: usize,
  n: i32,
  seedLo: i32,
  seedHi: i32,
  threshold: i32,
  scale: f32,
  from: i32,
): void {
  const first = mix(i32x4.splat(seedLo));
  const second = mix(v128.xor(first, i32x4.splat(seedHi)));
  const limit = i32x4.splat(threshold);
  const factor = f32x4.splat(scale);
  const begin = i32x4.add(first, i32x4.splat(STEP * from));
  let counter = i32x4.add(begin, i32x4(0, STEP, STEP * 2, STEP * 3));
  for (; n >= 4; n -= 4) {
    const dropped = i32x4.lt_u(mix(v128.xor(mix(counter), second)), limit);
    v128.store(out, v128.andnot(f32x4.mul(v128.load(inp), factor), dropped));
    counter = i32x4.add(counter, i32x4.splat(STEP * 4));
    out += 16;
    inp += 16;
  }
  if (n > 0) {
    const dropped = i32x4.lt_u(mix(v128.xor(mix(counter), second)), limit);
    storeLanes(out, v128.andnot(f32x4.mul(loadLanes(inp, n), factor), dropped), n);
  }
}
