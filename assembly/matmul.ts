// Matrix products in f32: out[M,N] = alpha * a b (+ out), in three orientations of the operands.
import { packColumns, packRows, packStripFromColumns, packStripFromRows } from "./pack";
import { rowScratchBytes, rowTimesMatrix, rowTimesTransposed } from "./row-product";
import { NR, TILE_BYTES, shortTile, tallRows, tallTile } from "./tile";

// Blocking as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
// However a result is computed, it is the same chain of multiply-adds over k from 0 up, cut every
// KC steps: its bits depend on its row of a, its column of b and K, never on its neighbours.

/** Steps of k in one partial sum: a panel of b this deep takes 8 KiB of the first-level cache. */
const KC: i32 = 256;

/** Rows of a packed at a time, a multiple of five and of six: 60 KiB. */
const MC: i32 = 60;

/** Columns of b packed at a time: 128 KiB. */
const NC: i32 = 128;

/** Below this many columns a packed strip of a is read too seldom to pay for its packing. */
const PACK_A_COLUMNS: i32 = 32;

/** Up to this many rows an untransposed b is read too seldom to pay for its packing. */
const FEW_ROWS: i32 = 12;

/** Bytes of scratch that any of the three products needs for sizes up to these; at most 188 KiB. */
export function matmulScratchBytes(M: i32, N: i32, K: i32): i32 {
  const depth = min(K, KC);
  const panels = roundUp(min(N, NC), NR) * depth;
  const strips = min(M, MC) * depth;
  return TILE_BYTES + max(rowScratchBytes(N), (panels + strips) << 2);
}

// @ts-ignore: decorator
@inline
function roundUp(value: i32, multiple: i32): i32 {
  return ((value + multiple - 1) / multiple) * multiple;
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
    accumulate,
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
    accumulate,
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
    accumulate,
  );
}

// @ts-ignore: decorator
@inline
function bytes(elements: i32): usize {
  return (<usize>elements) << 2;
}

/** Any of the three: a moves by `aRow` bytes per row and `aStep` per k, b by `bRow` per stored row. */
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
  accumulate: i32,
): void {
  assert(M >= 0 && N >= 0 && K >= 0, "matmul: a size is negative");
  if (K == 0 && !accumulate) zeroRows(out, M, N, outRow);
  for (let k: i32 = 0; k < K; k += KC) {
    const depth = min(KC, K - k);
    const adds = accumulate | i32(k > 0);
    const aFrom = a + <usize>k * aStep;
    const bFrom = b + <usize>k * (bTransposed ? 4 : bRow);
    if (M == 1) {
      if (bTransposed) rowTimesTransposed(out, aFrom, bFrom, N, depth, aStep, bRow, alpha, adds);
      else rowTimesMatrix(out, aFrom, bFrom, scratch, N, depth, aStep, bRow, alpha, adds);
    } else if (M <= FEW_ROWS && !bTransposed) {
      fewRows(out, aFrom, bFrom, scratch, M, N, depth, aRow, aStep, bRow, outRow, alpha, adds);
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
        adds,
      );
    }
  }
}

function zeroRows(out: usize, rows: i32, columns: i32, outRow: usize): void {
  for (let row: i32 = 0; row < rows; row++) {
    memory.fill(out, 0, bytes(columns));
    out += outRow;
  }
}

/** One block of K with b read where it lies; only columns hanging over the edge are packed. */
function fewRows(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  depth: i32,
  aRow: usize,
  aStep: usize,
  bRow: usize,
  outRow: usize,
  alpha: f32,
  accumulate: i32,
): void {
  const panel = scratch + TILE_BYTES;
  for (let n: i32 = 0; n < N; n += NR) {
    const columns = min(NR, N - n);
    const whole = columns == NR;
    if (!whole) packColumns(panel, b, depth, bRow, columns);
    const from = whole ? b : panel;
    const step = whole ? bRow : bytes(NR);
    shortTiles(
      out,
      a,
      from,
      scratch,
      M,
      columns,
      depth,
      aRow,
      aStep,
      step,
      outRow,
      alpha,
      accumulate,
    );
    out += bytes(NR);
    b += bytes(NR);
  }
}

/** One block of K with b packed, and a too where its strips are read often enough. */
function manyRows(
  out: usize,
  a: usize,
  b: usize,
  scratch: usize,
  M: i32,
  N: i32,
  depth: i32,
  aRow: usize,
  aStep: usize,
  bRow: usize,
  bTransposed: bool,
  outRow: usize,
  alpha: f32,
  accumulate: i32,
): void {
  const panels = scratch + TILE_BYTES;
  const strips = panels + bytes(roundUp(min(N, NC), NR) * depth);
  const stripBytes = bytes(tallRows() * depth);
  for (let n: i32 = 0; n < N; n += NC) {
    const width = min(NC, N - n);
    const bFrom = b + <usize>n * (bTransposed ? bRow : 4);
    packPanels(panels, bFrom, width, depth, bRow, bTransposed);
    for (let m: i32 = 0; m < M; m += MC) {
      const height = min(MC, M - m);
      const aFrom = a + <usize>m * aRow;
      const tall = N >= PACK_A_COLUMNS ? height / tallRows() : 0;
      packStrips(strips, aFrom, tall, depth, aRow, aStep);
      const low = tall * tallRows();
      const aLow = aFrom + <usize>low * aRow;
      let to = out + <usize>m * outRow + bytes(n);
      let panel = panels;
      for (let j: i32 = 0; j < width; j += NR) {
        const columns = min(NR, width - j);
        let tile = to;
        let strip = strips;
        for (let i: i32 = 0; i < tall; i++) {
          tallTile(tile, strip, panel, depth, outRow, columns, alpha, accumulate, scratch);
          tile += <usize>tallRows() * outRow;
          strip += stripBytes;
        }
        shortTiles(
          tile,
          aLow,
          panel,
          scratch,
          height - low,
          columns,
          depth,
          aRow,
          aStep,
          bytes(NR),
          outRow,
          alpha,
          accumulate,
        );
        to += bytes(NR);
        panel += bytes(NR * depth);
      }
    }
  }
}

function packPanels(
  panels: usize,
  b: usize,
  width: i32,
  depth: i32,
  bRow: usize,
  bTransposed: bool,
): void {
  for (let j: i32 = 0; j < width; j += NR) {
    const columns = min(NR, width - j);
    if (bTransposed) packRows(panels, b + <usize>j * bRow, depth, bRow, columns);
    else packColumns(panels, b + bytes(j), depth, bRow, columns);
    panels += bytes(NR * depth);
  }
}

function packStrips(
  strips: usize,
  a: usize,
  count: i32,
  depth: i32,
  aRow: usize,
  aStep: usize,
): void {
  for (let i: i32 = 0; i < count; i++) {
    if (aStep == 4) packStripFromRows(strips, a, depth, aRow);
    else packStripFromColumns(strips, a, depth, aStep);
    strips += bytes(tallRows() * depth);
    a += <usize>tallRows() * aRow;
  }
}

/** One panel of b against `rows` rows of a, four at a time. */
function shortTiles(
  out: usize,
  a: usize,
  b: usize,
  spill: usize,
  rows: i32,
  columns: i32,
  depth: i32,
  aRow: usize,
  aStep: usize,
  bStep: usize,
  outRow: usize,
  alpha: f32,
  accumulate: i32,
): void {
  for (let left = rows; left > 0; left -= 4) {
    shortTile(
      out,
      a,
      b,
      depth,
      aRow,
      aStep,
      bStep,
      outRow,
      min(left, 4),
      columns,
      alpha,
      accumulate,
      spill,
    );
    a += 4 * aRow;
    out += 4 * outRow;
  }
}
