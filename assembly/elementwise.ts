/** Elementwise arithmetic on rows of n floats; `out` may be one of the inputs. */
import { map1, map2 } from "./loops";
import { storeLanes } from "./lanes";
import { Add, AddScaled, Scale } from "./ops";

// @ts-ignore: decorator
@unmanaged
class Multiply {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128, k: v128): v128 {
    return f32x4.mul(a, b);
  }
}

/** out[n] = value */
export function fillF32(out: usize, value: f32, n: i32): void {
  const lanes = f32x4.splat(value);
  const whole = (<usize>(n & ~3)) << 2;
  let at: usize = 0;
  for (; at < whole; at += 16) v128.store(out + at, lanes);
  if (n & 3) storeLanes(out + at, lanes, n & 3);
}

/** out[n] = inp[n]; the ranges may overlap. */
export function copyF32(out: usize, inp: usize, n: i32): void {
  memory.copy(out, inp, (<usize>n) << 2);
}

/** out[n] = a[n] + b[n] */
export function addF32(out: usize, a: usize, b: usize, n: i32): void {
  map2<Add>(out, a, b, n);
}

/** out[n] = a[n] * b[n] */
export function mulF32(out: usize, a: usize, b: usize, n: i32): void {
  map2<Multiply>(out, a, b, n);
}

/** out[n] = alpha * inp[n] */
export function scaleF32(out: usize, inp: usize, alpha: f32, n: i32): void {
  map1<Scale>(out, inp, n, f32x4.splat(alpha));
}

/** out[n] += alpha * inp[n] */
export function axpyF32(out: usize, inp: usize, alpha: f32, n: i32): void {
  map2<AddScaled>(out, out, inp, n, f32x4.splat(alpha));
}

/** out[rows,cols]: every row = row[cols] */
export function broadcastRowF32(out: usize, row: usize, rows: i32, cols: i32): void {
  const bytes = (<usize>cols) << 2;
  for (let r: i32 = 0; r < rows; r++, out += bytes) memory.copy(out, row, bytes);
}
