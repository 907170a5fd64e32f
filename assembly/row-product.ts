// One row of a against all of b: nothing is reused, so b is read once, in the order of its storage.
import { madd } from "./simd";

/** Columns that are summed side by side in scratch by `rowTimesMatrix`. */
const WIDTH: i32 = 2048;

/** Bytes of scratch that `rowTimesMatrix` needs for N columns. */
export function rowScratchBytes(N: i32): i32 {
  return min(N, WIDTH) << 2;
}

/** out[N] = alpha * a[K] b[K,N] (+ out); a moves by aStep bytes per k, b by bRow. */
export function rowTimesMatrix(
  out: usize,
  a: usize,
  b: usize,
  sums: usize,
  N: i32,
  K: i32,
  aStep: usize,
  bRow: usize,
  alpha: f32,
  accumulate: i32,
): void {
  for (let n: i32 = 0; n < N; n += WIDTH) {
    const bytes = (<usize>min(WIDTH, N - n)) << 2;
    memory.fill(sums, 0, bytes);
    let x = a;
    let row = b;
    let k = K;
    for (; k >= 4; k -= 4) {
      addFourRows(sums, x, row, bytes, aStep, bRow);
      x += 4 * aStep;
      row += 4 * bRow;
    }
    for (; k > 0; k--) {
      addRow(sums, x, row, bytes);
      x += aStep;
      row += bRow;
    }
    scaleInto(out, sums, bytes, alpha, accumulate);
    out += bytes;
    b += bytes;
  }
}

function addFourRows(
  sums: usize,
  a: usize,
  b: usize,
  bytes: usize,
  aStep: usize,
  bRow: usize,
): void {
  const x0 = v128.load32_splat(a);
  const x1 = v128.load32_splat(a + aStep);
  const x2 = v128.load32_splat(a + 2 * aStep);
  const x3 = v128.load32_splat(a + 3 * aStep);
  const b1 = b + bRow;
  const b2 = b1 + bRow;
  const b3 = b2 + bRow;
  let n: usize = 0;
  for (; n + 16 <= bytes; n += 16) {
    let sum = madd(x0, v128.load(b + n), v128.load(sums + n));
    sum = madd(x1, v128.load(b1 + n), sum);
    sum = madd(x2, v128.load(b2 + n), sum);
    v128.store(sums + n, madd(x3, v128.load(b3 + n), sum));
  }
  for (; n < bytes; n += 4) {
    let sum = madd(x0, v128.load32_zero(b + n), v128.load32_zero(sums + n));
    sum = madd(x1, v128.load32_zero(b1 + n), sum);
    sum = madd(x2, v128.load32_zero(b2 + n), sum);
    v128.store_lane<f32>(sums + n, madd(x3, v128.load32_zero(b3 + n), sum), 0);
  }
}

function addRow(sums: usize, a: usize, b: usize, bytes: usize): void {
  const x = v128.load32_splat(a);
  for (const end = sums + bytes; sums < end; sums += 4) {
    v128.store_lane<f32>(sums, madd(x, v128.load32_zero(b), v128.load32_zero(sums)), 0);
    b += 4;
  }
}

function scaleInto(out: usize, sums: usize, bytes: usize, alpha: f32, accumulate: i32): void {
  for (const end = sums + bytes; sums < end; sums += 4) {
    const sum = alpha * load<f32>(sums);
    store<f32>(out, accumulate ? load<f32>(out) + sum : sum);
    out += 4;
  }
}

/** out[N] = alpha * a[K] b[N,K]^T (+ out); a moves by aStep bytes per k, b by bRow per output. */
export function rowTimesTransposed(
  out: usize,
  a: usize,
  b: usize,
  N: i32,
  K: i32,
  aStep: usize,
  bRow: usize,
  alpha: f32,
  accumulate: i32,
): void {
  for (let n: i32 = 0; n < N; n += 8) {
    const count = min(8, N - n);
    const b0 = b;
    const b1 = count > 1 ? b0 + bRow : b0;
    const b2 = count > 2 ? b1 + bRow : b1;
    const b3 = count > 3 ? b2 + bRow : b2;
    const b4 = count > 4 ? b3 + bRow : b3;
    const b5 = count > 5 ? b4 + bRow : b4;
    const b6 = count > 6 ? b5 + bRow : b5;
    const b7 = count > 7 ? b6 + bRow : b6;
    let left = f32x4.splat(0);
    let right = left;
    let x = a;
    let k: usize = 0;
    const end = (<usize>K) << 2;
    for (; k + 16 <= end; k += 16) {
      left = addFour(
        left,
        x,
        aStep,
        v128.load(b0 + k),
        v128.load(b1 + k),
        v128.load(b2 + k),
        v128.load(b3 + k),
      );
      right = addFour(
        right,
        x,
        aStep,
        v128.load(b4 + k),
        v128.load(b5 + k),
        v128.load(b6 + k),
        v128.load(b7 + k),
      );
      x += 4 * aStep;
    }
    for (; k < end; k += 4) {
      const xk = v128.load32_splat(x);
      left = madd(xk, gather(b0 + k, b1 + k, b2 + k, b3 + k), left);
      right = madd(xk, gather(b4 + k, b5 + k, b6 + k, b7 + k), right);
      x += aStep;
    }
    for (let i: i32 = 0; i < count; i++) {
      const sum = alpha * f32x4.extract_lane(left, 0);
      const to = out + ((<usize>i) << 2);
      store<f32>(to, accumulate ? load<f32>(to) + sum : sum);
      left = v128.shuffle<f32>(left, right, 1, 2, 3, 4);
      right = v128.shuffle<f32>(right, right, 1, 2, 3, 0);
    }
    out += 32;
    b += 8 * bRow;
  }
}

// @ts-ignore: decorator
@inline
function gather(p0: usize, p1: usize, p2: usize, p3: usize): v128 {
  return f32x4(load<f32>(p0), load<f32>(p1), load<f32>(p2), load<f32>(p3));
}

/** Adds four steps of k for four outputs, whose rows of b come in as r0 to r3. */
// @ts-ignore: decorator
@inline
function addFour(sum: v128, a: usize, aStep: usize, r0: v128, r1: v128, r2: v128, r3: v128): v128 {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  sum = madd(v128.load32_splat(a), v128.shuffle<i64>(low01, low23, 0, 2), sum);
  sum = madd(v128.load32_splat(a + aStep), v128.shuffle<i64>(low01, low23, 1, 3), sum);
  sum = madd(v128.load32_splat(a + 2 * aStep), v128.shuffle<i64>(high01, high23, 0, 2), sum);
  return madd(v128.load32_splat(a + 3 * aStep), v128.shuffle<i64>(high01, high23, 1, 3), sum);
}
