// Matrix products in f32: out[M,N] = alpha * a b (+ out), in three orientations of the operands.
import { packColumns, packRows } from "./pack";
import { NR, TILE_BYTES, shortTile, tallRows, tallTile } from "./tile";

/** Length of the partial sums over K: fixed, so that the rounding of a result depends on K alone. */
const KC: i32 = 256;

/** Columns of b that are packed at a time. */
const NC: i32 = 64;

/** Rows that pass over one packed panel before the next panel is taken. */
const MC: i32 = 24;

/** Bytes of scratch that any of the three products needs; the same for all sizes. */
export function matmulScratchBytes(M: i32, N: i32, K: i32): i32 {
  return TILE_BYTES + KC * NC * 4;
}

/** The product with b packed: a moves by aRow and aStep bytes, b by bRow per row of its storage. */
function packedProduct(
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
  accumulate: i32,
): void {
  if (K <= 0 && !accumulate) zeroRows(out, M, N, outRow);
  const panels = scratch + TILE_BYTES;
  for (let k: i32 = 0; k < K; k += KC) {
    const depth = min(KC, K - k);
    const panelBytes = <usize>(depth * NR) << 2;
    const aBlock = a + <usize>k * aStep;
    const adds = accumulate | i32(k > 0);
    for (let n: i32 = 0; n < N; n += NC) {
      const width = min(NC, N - n);
      for (let j: i32 = 0; j < width; j += NR) {
        const panel = panels + <usize>(j / NR) * panelBytes;
        const columns = min(NR, width - j);
        if (bTransposed) {
          packRows(panel, b + <usize>(n + j) * bRow + (<usize>k << 2), depth, bRow, columns);
        } else {
          packColumns(panel, b + <usize>k * bRow + (<usize>(n + j) << 2), depth, bRow, columns);
        }
      }
      for (let m: i32 = 0; m < M; m += MC) {
        const height = min(MC, M - m);
        let panel = panels;
        for (let j: i32 = 0; j < width; j += NR) {
          let to = out + <usize>m * outRow + (<usize>(n + j) << 2);
          let from = aBlock + <usize>m * aRow;
          const columns = min(NR, width - j);
          for (let left = height; left > 0; ) {
            if (left <= 4 || (left > tallRows() && left <= 8)) {
              const rows = min(left, 4);
              shortTile(to, from, panel, depth, aRow, aStep, NR << 2, outRow, rows, columns, alpha, adds, scratch);
              left -= 4;
              from += 4 * aRow;
              to += 4 * outRow;
            } else {
              const rows = min(left, tallRows());
              tallTile(to, from, panel, depth, aRow, aStep, NR << 2, outRow, rows, columns, alpha, adds, scratch);
              left -= tallRows();
              from += tallRows() * aRow;
              to += tallRows() * outRow;
            }
          }
          panel += panelBytes;
        }
      }
    }
  }
}

function zeroRows(out: usize, rows: i32, columns: i32, outRow: usize): void {
  for (let r: i32 = 0; r < rows; r++) {
    memory.fill(out, 0, <usize>columns << 2);
    out += outRow;
  }
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
  packedProduct(out, a, b, scratch, M, N, K, <usize>lda << 2, 4, <usize>ldb << 2, false, <usize>ldc << 2, alpha, accumulate);
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
  packedProduct(out, a, b, scratch, M, N, K, <usize>lda << 2, 4, <usize>ldb << 2, true, <usize>ldc << 2, alpha, accumulate);
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
  packedProduct(out, a, b, scratch, M, N, K, 4, <usize>lda << 2, <usize>ldb << 2, false, <usize>ldc << 2, alpha, accumulate);
}
