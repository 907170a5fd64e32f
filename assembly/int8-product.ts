/** Products with an int8 weight: rows of a are quantised on the fly, sums are exact integers. */
import { dotOffset } from "./int8-dot";
import { packInputs, packOutputs } from "./int8-panel";
import { rowTimesOutputs } from "./int8-row";
import {
  Dot,
  Exact,
  MOST_ROWS,
  NR,
  PANEL_HEAD,
  STRIP_HEAD,
  TILE_BYTES,
  tile,
} from "./int8-tile";
import { inverseOf, largestBits, quantiseRow, scaleOf } from "./quantise-row";

// The recipe of SwitchBack (Wortsman et al. 2023, arXiv 2304.13013, section 2.2): both large products of a
// frozen linear layer in int8, a scale for each row of a and each output of the weight. A result is the f32
// sum of the scaled integer sums of KC steps each, so its bits depend on its row of a, its column of the
// weight and K alone: not on neighbours, and not on the instruction that the machine has for it.

/** Steps of k in one integer sum; a panel this deep takes 8 or 16 KiB of the first-level cache. */
const KC: i32 = 1024;

/** Rows of a that are quantised at a time. */
const MC: i32 = 480;

/** Bytes of scratch that both products need for sizes up to these: M rows, `depth` products in a sum. */
export function int8ScratchBytes(M: i32, depth: i32): i32 {
  const K = min(depth, KC);
  const rows = min(M, MC) + MOST_ROWS;
  const most = (K + 1) / 2;
  const heads = (rows / 4) * <i32>STRIP_HEAD + <i32>PANEL_HEAD;
  return TILE_BYTES + heads + rows * 8 + (most * (rows + NR)) * 4;
}

/** out[M,N] = alpha * a[M,K] w[N,K]^T (+ out), w = values (i8) * scales[N]; lda, ldc are row strides in elements. */
export function matmulNtInt8(
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
  assert(lda >= K && ldc >= N, "matmulNtInt8: a row stride is shorter than its row");
  choose(out, a, values, scales, scratch, M, N, K, lda, ldc, alpha, accumulate, true);
}

/** out[M,N] = alpha * a[M,K] w[K,N] (+ out), w = values (i8) * scales[K]: the gradient of the input of a layer. */
export function matmulNnInt8(
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
  assert(lda >= K && ldc >= N, "matmulNnInt8: a row stride is shorter than its row");
  choose(out, a, values, scales, scratch, M, N, K, lda, ldc, alpha, accumulate, false);
}

function choose(
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
  transposed: bool,
): void {
  assert(M >= 0 && N >= 0 && K >= 0, "matmulInt8: a size is negative");
  const aRow = (<usize>lda) << 2;
  const outRow = (<usize>ldc) << 2;
  if (K == 0) {
    if (!accumulate) zeroRows(out, M, N, outRow);
    return;
  }
  const offset = dotOffset();
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (offset >= 0) {
      product<Dot>(
        out,
        a,
        values,
        scales,
        scratch,
        M,
        N,
        K,
        aRow,
        outRow,
        alpha,
        accumulate,
        transposed,
        offset,
      );
      return;
    }
  }
  product<Exact>(
    out,
    a,
    values,
    scales,
    scratch,
    M,
    N,
    K,
    aRow,
    outRow,
    alpha,
    accumulate,
    transposed,
    0,
  );
}

function zeroRows(out: usize, rows: i32, columns: i32, outRow: usize): void {
  for (let row: i32 = 0; row < rows; row++) {
    memory.fill(out, 0, (<usize>columns) << 2);
    out += outRow;
  }
}

/** `offset` is what the weight's bytes are shifted up by before they are multiplied. */
function product<Step>(
  out: usize,
  a: usize,
  values: usize,
  scales: usize,
  scratch: usize,
  M: i32,
  N: i32,
  K: i32,
  aRow: usize,
  outRow: usize,
  alpha: f32,
  accumulate: i32,
  transposed: bool,
  offset: i32,
): void {
  const step = changetype<Step>(0);
  const factors = scratch + TILE_BYTES;
  for (let m: i32 = 0; m < M; m += MC) {
    const rows = min(MC, M - m);
    const aFrom = a + <usize>m * aRow;
    const to = out + <usize>m * outRow;
    measureRows(factors, aFrom, transposed ? 0 : scales, rows, K, aRow);
    for (let k: i32 = 0; k < K; k += KC) {
      const depth = min(KC, K - k);
      const panel = factors + ((<usize>rows) << 3);
      const strips = panel + PANEL_HEAD + ((<usize>(words<Step>(depth) * NR)) << 2);
      const aBlock = aFrom + ((<usize>k) << 2);
      const adds = accumulate | i32(k > 0);
      if (M == 1 && transposed) {
        const sum = quantiseRow(panel, 4, aBlock, 0, load<f32>(factors), depth, step.isWide());
        const scale = alpha * load<f32>(factors, 4);
        rowTimesOutputs<Step>(to, panel, values + k, scales, N, depth, K, -offset * sum, scale, offset, adds);
        continue;
      }
      const by: usize = transposed ? 0 : scales + ((<usize>k) << 2);
      packStrips<Step>(strips, aBlock, factors, by, rows, depth, aRow, alpha, offset);
      for (let n: i32 = 0; n < N; n += NR) {
        const columns = min(NR, N - n);
        if (transposed) {
          headOf(panel, scales + ((<usize>n) << 2), columns);
          const from = values + <usize>n * <usize>K + k;
          packOutputs(panel, from, depth, K, columns, step.isWide(), offset);
        } else {
          headOf(panel, 0, 0);
          const from = values + <usize>k * <usize>N + n;
          packInputs(panel, from, depth, N, columns, step.isWide(), offset);
        }
        tiles<Step>(to + ((<usize>n) << 2), strips, panel, depth, outRow, rows, columns, adds, scratch);
      }
    }
  }
}

/** One panel against all strips. */
function tiles<Step>(
  out: usize,
  strips: usize,
  panel: usize,
  depth: i32,
  outRow: usize,
  rows: i32,
  columns: i32,
  accumulate: i32,
  spill: usize,
): void {
  const height = changetype<Step>(0).rows();
  const steps = words<Step>(depth);
  for (let left = rows; left > 0; left -= height) {
    tile<Step>(out, strips, panel, steps, outRow, min(height, left), columns, accumulate, spill);
    strips += STRIP_HEAD + ((<usize>(steps * height)) << 2);
    out += <usize>height * outRow;
  }
}

/** Words of a row so many products deep. */
// @ts-ignore: decorator
@inline
function words<Step>(depth: i32): i32 {
  return changetype<Step>(0).isWide() ? (depth + 3) >> 2 : (depth + 1) >> 1;
}

/** Per row: what it is multiplied by to become integers, and what these stand for. */
function measureRows(factors: usize, a: usize, by: usize, rows: i32, K: i32, aRow: usize): void {
  for (let r: i32 = 0; r < rows; r++) {
    const bits = largestBits(a, by, K);
    store<f32>(factors, inverseOf(bits));
    store<f32>(factors, scaleOf(bits), 4);
    factors += 8;
    a += aRow;
  }
}

function packStrips<Step>(
  strips: usize,
  a: usize,
  factors: usize,
  by: usize,
  rows: i32,
  depth: i32,
  aRow: usize,
  alpha: f32,
  offset: i32,
): void {
  const step = changetype<Step>(0);
  const height = step.rows();
  const bytes = STRIP_HEAD + ((<usize>(words<Step>(depth) * height)) << 2);
  for (let r: i32 = 0; r < rows; r += height) {
    const count = min(height, rows - r);
    // Rows that are not there are multiplied as well, and dropped.
    if (count < height) memory.fill(strips, 0, bytes);
    for (let i: i32 = 0; i < count; i++) {
      const head = strips + ((<usize>i) << 2);
      const to = head + STRIP_HEAD;
      const sum = quantiseRow(to, height << 2, a, by, load<f32>(factors), depth, step.isWide());
      store<i32>(head, -offset * sum);
      store<f32>(head, alpha * load<f32>(factors, 4), MOST_ROWS << 2);
      factors += 8;
      a += aRow;
    }
    strips += bytes;
  }
}

/** Scales of a panel's columns; ones where there are none. */
function headOf(panel: usize, scales: usize, columns: i32): void {
  for (let c: i32 = 0; c < NR; c++) {
    const at = (<usize>c) << 2;
    store<f32>(panel + at, c < columns ? load<f32>(scales + at) : 1);
  }
}
