/** Products with f16 and int4 weights: a block at a time is widened to f32 and multiplied as such. */
import { f16ToF32 } from "./convert";
import { matmulNnF32, matmulNtF32, matmulScratchBytes } from "./matmul";
import { dequantiseGroups } from "./quantise";

/** Steps of k in a block: a multiple of the f32 product's own, so that the bits are those of one product. */
const DEPTH: i32 = 1024;

/** Columns of out in a block: 256 KiB of f32 at the most. */
const WIDTH: i32 = 64;

/** Columns in a block that one row of a reads but once: 32 KiB. */
const ROW_WIDTH: i32 = 8;

const GROUP: i32 = 32;

/** Widens `n` numbers of row r from column k on; k is a multiple of 32. */
// @ts-ignore: decorator
@unmanaged
class Half {
  // @ts-ignore: decorator
  @inline
  widen(out: usize, values: usize, scales: usize, cols: i32, r: i32, k: i32, n: i32): void {
    f16ToF32(out, values + ((<usize>r * <usize>cols + k) << 1), n);
  }
}

/** The same for int4. */
// @ts-ignore: decorator
@unmanaged
class Nibble {
  // @ts-ignore: decorator
  @inline
  widen(out: usize, values: usize, scales: usize, cols: i32, r: i32, k: i32, n: i32): void {
    const group = <usize>r * <usize>((cols + GROUP - 1) / GROUP) + k / GROUP;
    dequantiseGroups(out, values + group * (GROUP >> 1), scales + (group << 1), n);
  }
}

/** Bytes of scratch that the products with f16 and int4 weights need for sizes up to these. */
export function widenedScratchBytes(M: i32, N: i32, K: i32): i32 {
  const width = min(N, WIDTH);
  const depth = min(K, DEPTH);
  return ((width * depth) << 2) + matmulScratchBytes(M, width, depth);
}

/** out[M,N] = alpha * a[M,K] w[N,K]^T (+ out), w in binary16; lda, ldc are row strides in elements. */
export function matmulNtF16(
  out: usize,
  a: usize,
  values: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  timesOutputs<Half>(out, a, values, 0, scratch, M, N, K, lda, ldc, alpha, accumulate);
}

/** out[M,N] = alpha * a[M,K] w[K,N] (+ out), w in binary16. */
export function matmulNnF16(
  out: usize,
  a: usize,
  values: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  timesInputs<Half>(out, a, values, 0, scratch, M, N, K, lda, ldc, alpha, accumulate);
}

/** out[M,N] = alpha * a[M,K] w[N,K]^T (+ out), w in int4 as `quantiseRowsInt4` lays it out. */
export function matmulNtInt4(
  out: usize,
  a: usize,
  values: usize,
  scales: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  timesOutputs<Nibble>(out, a, values, scales, scratch, M, N, K, lda, ldc, alpha, accumulate);
}

/** out[M,N] = alpha * a[M,K] w[K,N] (+ out), w in int4. */
export function matmulNnInt4(
  out: usize,
  a: usize,
  values: usize,
  scales: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  timesInputs<Nibble>(out, a, values, scales, scratch, M, N, K, lda, ldc, alpha, accumulate);
}

function timesOutputs<Weight>(
  out: usize,
  a: usize,
  values: usize,
  scales: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  const weight = changetype<Weight>(0);
  const most = M == 1 ? ROW_WIDTH : WIDTH;
  const room = scratch + ((<usize>(min(N, most) * min(K, DEPTH))) << 2);
  if (K == 0) matmulNtF32(out, a, scratch, room, M, N, 0, lda, 0, ldc, alpha, accumulate);
  for (let n: i32 = 0; n < N; n += most) {
    const width = min(most, N - n);
    for (let k: i32 = 0; k < K; k += DEPTH) {
      const depth = min(DEPTH, K - k);
      for (let i: i32 = 0; i < width; i++) {
        const row = scratch + ((<usize>(i * depth)) << 2);
        weight.widen(row, values, scales, K, n + i, k, depth);
      }
      const to = out + ((<usize>n) << 2);
      const from = a + ((<usize>k) << 2);
      const adds = accumulate | i32(k > 0);
      matmulNtF32(to, from, scratch, room, M, width, depth, lda, depth, ldc, alpha, adds);
    }
  }
}

function timesInputs<Weight>(
  out: usize,
  a: usize,
  values: usize,
  scales: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  const weight = changetype<Weight>(0);
  const room = scratch + ((<usize>(min(N, WIDTH) * min(K, DEPTH))) << 2);
  if (K == 0) matmulNnF32(out, a, scratch, room, M, N, 0, lda, N, ldc, alpha, accumulate);
  for (let n: i32 = 0; n < N; n += WIDTH) {
    const width = min(WIDTH, N - n);
    for (let k: i32 = 0; k < K; k += DEPTH) {
      const depth = min(DEPTH, K - k);
      for (let i: i32 = 0; i < depth; i++) {
        const row = scratch + ((<usize>(i * width)) << 2);
        weight.widen(row, values, scales, N, k + i, n, width);
      }
      const to = out + ((<usize>n) << 2);
      const from = a + ((<usize>k) << 2);
      const adds = accumulate | i32(k > 0);
      matmulNnF32(to, from, scratch, room, M, width, depth, lda, width, ldc, alpha, adds);
    }
  }
}
