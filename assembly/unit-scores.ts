/**
 * Sums over the elements of units: what importance scores are made of. A row holds U units of S elements
 * side by side. Tokens are added in ascending order; within one, a unit of several elements is a fold
 * of loops.ts, so that a sum has the same bits at every address.
 */
import { Adding, fold2 } from "./loops";
import { loadLanes, storeLanes } from "./lanes";
import { Dot } from "./ops";
import { firstRow, sequenceRows } from "./packed";
import { sumLanes } from "./simd";

// @ts-ignore: decorator
@unmanaged
class SizeOfProduct extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, a: v128, b: v128, k: v128): v128 {
    return f32x4.add(acc, f32x4.abs(f32x4.mul(a, b)));
  }
}

// @ts-ignore: decorator
@unmanaged
class SizeOfFirst extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, a: v128, b: v128, k: v128): v128 {
    return f32x4.add(acc, f32x4.abs(a));
  }
}

/**
 * out[B,U] = sums of a b over the tokens of each sequence and the S elements of each unit, for a and b
 * [M,U,S]; sequence b has the tokens offsets[b] to offsets[b+1], offsets being i32[B+1], or pointer 0 where
 * each has T, which is 0 otherwise.
 */
export function unitDotsF32(
  out: usize,
  a: usize,
  b: usize,
  offsets: usize,
  B: i32,
  T: i32,
  U: i32,
  S: i32,
): void {
  unitSums<Dot>(out, a, b, offsets, B, T, U, S);
}

/** As unitDotsF32, with sums of |a b|. */
export function unitAbsDotsF32(
  out: usize,
  a: usize,
  b: usize,
  offsets: usize,
  B: i32,
  T: i32,
  U: i32,
  S: i32,
): void {
  unitSums<SizeOfProduct>(out, a, b, offsets, B, T, U, S);
}

/** As unitDotsF32, with sums of |a|. */
export function unitAbsSumsF32(
  out: usize,
  a: usize,
  offsets: usize,
  B: i32,
  T: i32,
  U: i32,
  S: i32,
): void {
  unitSums<SizeOfFirst>(out, a, a, offsets, B, T, U, S);
}

// @ts-ignore: decorator
@inline
function unitSums<Op>(
  out: usize,
  a: usize,
  b: usize,
  offsets: usize,
  B: i32,
  T: i32,
  U: i32,
  S: i32,
): void {
  const outBytes = (<usize>U) << 2;
  const rowBytes = outBytes * <usize>S;
  for (let i: i32 = 0; i < B; i++, out += outBytes) {
    const tokens = offsets ? sequenceRows(offsets, i) : T;
    let at = <usize>(offsets ? firstRow(offsets, i) : i * T) * rowBytes;
    memory.fill(out, 0, outBytes);
    for (let t: i32 = 0; t < tokens; t++, at += rowBytes) {
      if (S == 1) addElements<Op>(out, a + at, b + at, U);
      else addFolds<Op>(out, a + at, b + at, U, S);
    }
  }
}

/** out[u] = Op.of(out[u], a[u], b[u]) */
// @ts-ignore: decorator
@inline
function addElements<Op>(out: usize, a: usize, b: usize, U: i32): void {
  const op = changetype<Op>(0);
  const zero = f32x4.splat(0);
  const whole = (<usize>(U & ~3)) << 2;
  let at: usize = 0;
  for (; at < whole; at += 16) {
    const sum = op.of(v128.load(out + at), v128.load(a + at), v128.load(b + at), zero);
    v128.store(out + at, sum);
  }
  const rest = U & 3;
  if (!rest) return;
  const before = loadLanes(out + at, rest);
  const sum = op.of(before, loadLanes(a + at, rest), loadLanes(b + at, rest), zero);
  storeLanes(out + at, sum, rest);
}

/** out[u] += the fold of the S elements of unit u */
// @ts-ignore: decorator
@inline
function addFolds<Op>(out: usize, a: usize, b: usize, U: i32, S: i32): void {
  const unitBytes = (<usize>S) << 2;
  for (let u: i32 = 0; u < U; u++, out += 4, a += unitBytes, b += unitBytes) {
    store<f32>(out, load<f32>(out) + sumLanes(fold2<Op>(a, b, S)));
  }
}
