// Matrix products in f32: out[M,N] = alpha * a * b (+ out), in three orientations of the operands.

/** Bytes of scratch that any of the three products needs for these sizes. */
export function matmulScratchBytes(M: i32, N: i32, K: i32): i32 {
  return 0;
}

// @ts-ignore: decorator
@inline
function product(out: usize, a: usize, b: usize, M: i32, N: i32, K: i32, aRow: usize, aStep: usize, bStep: usize, bColumn: usize, ldc: i32, alpha: f32, accumulate: i32): void {
  for (let m: i32 = 0; m < M; m++) {
    for (let n: i32 = 0; n < N; n++) {
      let sum: f32 = 0;
      for (let k: i32 = 0; k < K; k++) {
        sum += load<f32>(a + (<usize>m * aRow + <usize>k * aStep << 2)) * load<f32>(b + (<usize>k * bStep + <usize>n * bColumn << 2));
      }
      const target = out + ((<usize>m * <usize>ldc + <usize>n) << 2);
      store<f32>(target, accumulate ? load<f32>(target) + alpha * sum : alpha * sum);
    }
  }
}

/** out[M,N] = alpha * a[M,K] b[K,N] (+ out); lda, ldb, ldc are row strides in elements. */
export function matmulNnF32(out: usize, a: usize, b: usize, scratch: usize, M: i32, N: i32, K: i32, lda: i32, ldb: i32, ldc: i32, alpha: f32, accumulate: i32): void {
  product(out, a, b, M, N, K, lda, 1, ldb, 1, ldc, alpha, accumulate);
}

/** out[M,N] = alpha * a[M,K] b[N,K]^T (+ out). */
export function matmulNtF32(out: usize, a: usize, b: usize, scratch: usize, M: i32, N: i32, K: i32, lda: i32, ldb: i32, ldc: i32, alpha: f32, accumulate: i32): void {
  product(out, a, b, M, N, K, lda, 1, 1, ldb, ldc, alpha, accumulate);
}

/** out[M,N] = alpha * a[K,M]^T b[K,N] (+ out). */
export function matmulTnF32(out: usize, a: usize, b: usize, scratch: usize, M: i32, N: i32, K: i32, lda: i32, ldb: i32, ldc: i32, alpha: f32, accumulate: i32): void {
  product(out, a, b, M, N, K, 1, lda, ldb, 1, ldc, alpha, accumulate);
}
