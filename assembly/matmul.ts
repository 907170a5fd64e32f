// Matrix products in f32: out[M,N] = alpha * a b (+ out), in three orientations of the operands.
import { blockedScratchBytes, fewRows, manyRows } from "./blocked-product";
import { bytes } from "./tile";
import { rowScratchBytes, rowTimesMatrix, rowTimesTransposed } from "./row-product";

// Blocking as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
// However a result is computed, it is the same chain of multiply-adds over k from 0 up, cut every
// KC steps: its bits depend on its row of a, its column of b and K, never on its neighbours.

/** Steps of k in one partial sum: a panel of b this deep takes 8 KiB of the first-level cache. */
const KC: i32 = 256;

/** Up to this many rows an untransposed b is read too seldom to pay for its packing. */
const FEW_ROWS: i32 = 12;

/** Bytes of scratch that any of the three products needs for sizes up to these; at most 317 KiB. */
export function matmulScratchBytes(M: i32, N: i32, K: i32): i32 {
  return max(rowScratchBytes(N), blockedScratchBytes(M, N, min(K, KC)));
}

/** out[M,N] = alpha * a[M,K] b[K,N] (+ out); lda, ldb, ldc are row strides in elements. */
export function matmulNnF32(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldb: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  assert(lda >= K && ldb >= N && ldc >= N, "matmulNnF32: a row stride is shorter than its row");
  product(
    out,
    a,
    b,
    scratch,
    M,
    N,
    K,
    bytes(lda),
    4,
    bytes(ldb),
    false,
    bytes(ldc),
    alpha,
    accumulate ? out : 0,
    accumulate ? bytes(ldc) : 0,
  );
}

/** out[M,N] = alpha * a[M,K] b[N,K]^T (+ out); lda, ldb, ldc are row strides in elements. */
export function matmulNtF32(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldb: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  assert(lda >= K && ldb >= K && ldc >= N, "matmulNtF32: a row stride is shorter than its row");
  product(
    out,
    a,
    b,
    scratch,
    M,
    N,
    K,
    bytes(lda),
    4,
    bytes(ldb),
    true,
    bytes(ldc),
    alpha,
    accumulate ? out : 0,
    accumulate ? bytes(ldc) : 0,
  );
}

/** out[M,N] = alpha * a[K,M]^T b[K,N] (+ out); lda, ldb, ldc are row strides in elements. */
export function matmulTnF32(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldb: i32,
  ldc: i32,
  alpha: f32,
  accumulate: i32,
): void {
  assert(lda >= M && ldb >= N && ldc >= N, "matmulTnF32: a row stride is shorter than its row");
  product(
    out,
    a,
    b,
    scratch,
    M,
    N,
    K,
    4,
    bytes(lda),
    bytes(ldb),
    false,
    bytes(ldc),
    alpha,
    accumulate ? out : 0,
    accumulate ? bytes(ldc) : 0,
  );
}

/**
 * out[M,N] = a[M,K] b[N,K]^T + bias[N]; lda, ldb, ldc are row strides in elements. The bits are those of
 * broadcastRowF32 and a matmulNtF32 that adds to it.
 */
export function affineF32(
  out: usize,
  a: usize,
  b: usize,
  bias: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  lda: i32,
  ldb: i32,
  ldc: i32,
): void {
  assert(lda >= K && ldb >= K && ldc >= N, "affineF32: a row stride is shorter than its row");
  product(
    out,
    a,
    b,
    scratch,
    M,
    N,
    K,
    bytes(lda),
    4,
    bytes(ldb),
    true,
    bytes(ldc),
    1,
    bias,
    0,
  );
}

/** Any of them: a moves by `aRow` bytes per row and `aStep` per k, b by `bRow` per stored row. */
function product(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  aRow: usize,
  aStep: usize,
  bRow: usize,
  bTransposed: bool,
  outRow: usize,
  alpha: f32,
  addend: usize,
  addendRow: usize,
): void {
  assert(M >= 0 && N >= 0 && K >= 0, "matmul: a size is negative");
  if (K == 0 && addend != out) startRows(out, addend, M, N, outRow);
  for (let k: i32 = 0; k < K; k += KC) {
    const depth = min(KC, K - k);
    const aFrom = a + <usize>k * aStep;
    const bFrom = b + <usize>k * (bTransposed ? 4 : bRow);
    if (M == 1) {
      if (k == 0 && addend && addend != out) memory.copy(out, addend, bytes(N));
      const adds = i32(addend != 0);
      if (bTransposed) rowTimesTransposed(out, aFrom, bFrom, N, depth, aStep, bRow, alpha, adds);
      else rowTimesMatrix(out, aFrom, bFrom, scratch, N, depth, aStep, bRow, alpha, adds);
    } else if (M <= FEW_ROWS && !bTransposed) {
      fewRows(
        out,
        aFrom,
        bFrom,
        scratch,
        M,
        N,
        depth,
        aRow,
        aStep,
        bRow,
        outRow,
        alpha,
        addend,
        addendRow,
      );
    } else {
      manyRows(
        out,
        aFrom,
        bFrom,
        scratch,
        M,
        N,
        depth,
        aRow,
        aStep,
        bRow,
        bTransposed,
        outRow,
        alpha,
        addend,
        addendRow,
      );
    }
    // The next steps of k add to what these have made.
    addend = out;
    addendRow = outRow;
  }
}

/** The product of no steps: zeros, or in every row the addend. */
function startRows(out: usize, addend: usize, rows: i32, columns: i32, outRow: usize): void {
  for (let row: i32 = 0; row < rows; row++) {
    if (addend) memory.copy(out, addend, bytes(columns));
    else memory.fill(out, 0, bytes(columns));
    out += outRow;
  }
}
