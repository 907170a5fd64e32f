/** Vectors of four f32 lanes at any address, and the last one to three lanes of a row. */

/** All ones in the lanes below `count`, zeros in the others. */
// @ts-ignore: decorator
@inline
export function laneMask(count: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count));
}

/** The first `count` (1 to 4) floats at `p`; zeros in the other lanes; never reads further. */
// @ts-ignore: decorator
@inline
export function loadLanes(p: usize, count: i32): v128 {
  if (count == 4) return v128.load(p);
  if (count == 1) return v128.load32_zero(p);
  const pair = v128.load64_zero(p);
  return count == 2 ? pair : v128.load32_lane(p, pair, 2, 8);
}

/** Stores the first `count` (1 to 4) lanes at `p`; never writes further. */
// @ts-ignore: decorator
@inline
export function storeLanes(p: usize, x: v128, count: i32): void {
  if (count == 4) {
    v128.store(p, x);
  } else if (count == 1) {
    v128.store32_lane(p, x, 0);
  } else {
    v128.store64_lane(p, x, 0);
    if (count == 3) v128.store32_lane(p, x, 2, 8);
  }
}
