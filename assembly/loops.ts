/**
 * Loops over rows of f32: `map` writes one vector per input vector, `fold` reduces a row. Maps go in
 * pairs of vectors, which V8 can merge into one of 256 bits.
 *
 * What happens to a vector is the method `of` of a class passed as type argument; it is resolved and
 * inlined at compile time, no object exists. A fold has one order for every address: blocks of four
 * vectors go to accumulators 0 to 3, vectors left over to 0, the last lanes to 1, and the
 * accumulators join as (0 + 1) + (2 + 3).
 */
import { laneMask, loadLanes, storeLanes } from "./lanes";

/** out[i] = Op.of(a[i], k) */
// @ts-ignore: decorator
@inline
export function map1<Op>(out: usize, a: usize, n: i32, k: v128 = f32x4.splat(0)): void {
  const op = changetype<Op>(0);
  const whole = (<usize>(n & ~3)) << 2;
  let at: usize = 0;
  for (; at + 32 <= whole; at += 32) {
    const left = op.of(v128.load(a + at), k);
    const right = op.of(v128.load(a + at, 16), k);
    v128.store(out + at, left);
    v128.store(out + at, right, 16);
  }
  for (; at < whole; at += 16) v128.store(out + at, op.of(v128.load(a + at), k));
  const rest = n & 3;
  if (rest) storeLanes(out + at, op.of(loadLanes(a + at, rest), k), rest);
}

/** out[i] = Op.of(a[i], b[i], k) */
// @ts-ignore: decorator
@inline
export function map2<Op>(out: usize, a: usize, b: usize, n: i32, k: v128 = f32x4.splat(0)): void {
  const op = changetype<Op>(0);
  const whole = (<usize>(n & ~3)) << 2;
  let at: usize = 0;
  for (; at + 32 <= whole; at += 32) {
    const left = op.of(v128.load(a + at), v128.load(b + at), k);
    const right = op.of(v128.load(a + at, 16), v128.load(b + at, 16), k);
    v128.store(out + at, left);
    v128.store(out + at, right, 16);
  }
  for (; at < whole; at += 16) {
    v128.store(out + at, op.of(v128.load(a + at), v128.load(b + at), k));
  }
  const rest = n & 3;
  if (rest) {
    storeLanes(out + at, op.of(loadLanes(a + at, rest), loadLanes(b + at, rest), k), rest);
  }
}

/** Base of folds that add up. */
// @ts-ignore: decorator
@unmanaged
export class Adding {
  // @ts-ignore: decorator
  @inline
  start(): v128 {
    return f32x4.splat(0);
  }
  // @ts-ignore: decorator
  @inline
  join(a: v128, b: v128): v128 {
    return f32x4.add(a, b);
  }
}

/** Base of folds that look for the largest; NaN is passed over, a row without numbers gives -inf. */
// @ts-ignore: decorator
@unmanaged
export class Largest {
  // @ts-ignore: decorator
  @inline
  start(): v128 {
    return f32x4.splat(-Infinity);
  }
  // @ts-ignore: decorator
  @inline
  join(a: v128, b: v128): v128 {
    return f32x4.pmax(a, b);
  }
}

/** Four partial results of Op.of(acc, a[i], k), from Op.start(), joined by Op.join. */
// @ts-ignore: decorator
@inline
export function fold1<Op>(a: usize, n: i32, k: v128 = f32x4.splat(0)): v128 {
  const op = changetype<Op>(0);
  const end = a + ((<usize>n) << 2);
  let s0 = op.start();
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; a + 64 <= end; a += 64) {
    s0 = op.of(s0, v128.load(a), k);
    s1 = op.of(s1, v128.load(a, 16), k);
    s2 = op.of(s2, v128.load(a, 32), k);
    s3 = op.of(s3, v128.load(a, 48), k);
  }
  for (; a + 16 <= end; a += 16) s0 = op.of(s0, v128.load(a), k);
  const rest = n & 3;
  if (rest) s1 = v128.bitselect(op.of(s1, loadLanes(a, rest), k), s1, laneMask(rest));
  return op.join(op.join(s0, s1), op.join(s2, s3));
}

/** Four partial results of Op.of(acc, a[i], b[i], k), in the order of fold1. */
// @ts-ignore: decorator
@inline
export function fold2<Op>(a: usize, b: usize, n: i32, k: v128 = f32x4.splat(0)): v128 {
  const op = changetype<Op>(0);
  const end = a + ((<usize>n) << 2);
  const toB = b - a;
  let s0 = op.start();
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; a + 64 <= end; a += 64) {
    s0 = op.of(s0, v128.load(a), v128.load(a + toB), k);
    s1 = op.of(s1, v128.load(a, 16), v128.load(a + toB, 16), k);
    s2 = op.of(s2, v128.load(a, 32), v128.load(a + toB, 32), k);
    s3 = op.of(s3, v128.load(a, 48), v128.load(a + toB, 48), k);
  }
  for (; a + 16 <= end; a += 16) {
    s0 = op.of(s0, v128.load(a), v128.load(a + toB), k);
  }
  const rest = n & 3;
  if (rest) {
    const tail = op.of(s1, loadLanes(a, rest), loadLanes(a + toB, rest), k);
    s1 = v128.bitselect(tail, s1, laneMask(rest));
  }
  return op.join(op.join(s0, s1), op.join(s2, s3));
}
