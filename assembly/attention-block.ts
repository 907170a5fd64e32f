/**
 * A block of queries against a block of keys in the backward pass of attention. What belongs to the block of
 * queries lies in scratch: in panels to be multiplied by keys, and in columns to be added up for them.
 */
import { PANEL, SPILL_BYTES, STEP, STRIP, foldTile, mixPanel, roundUp, scoreTile } from "./attention-tile";
import { packColumns, packQueries } from "./attention-pack";
import { hideLater, pullBackPanel } from "./attention-softmax";
import { fold2 } from "./loops";
import { Dot } from "./ops";
import { sumLanes } from "./simd";

/** Most queries, and keys, of a block: its weights and their gradients take 32 KiB. */
const MOST: i32 = 64;

/** Queries, and keys, of a block for sequences of up to T tokens. */
// @ts-ignore: decorator
@inline
export function blockSize(T: i32): i32 {
  return min(roundUp(T, PANEL), MOST);
}

// A block's part of scratch: scales, ones, room for a tile, lse and delta; weights and their gradients, a panel of eight queries
// below the other; queries and their gradients in panels, and once more in columns.
const ONES: usize = 32;
const SPILL: usize = 64;
const LSE: usize = SPILL + <usize>SPILL_BYTES;
const DELTA: usize = LSE + 4 * <usize>MOST;
const WEIGHTS: usize = DELTA + 4 * <usize>MOST;

/** Bytes of scratch of a block with head size D. */
// @ts-ignore: decorator
@inline
export function blockBytes(block: i32, D: i32): i32 {
  return <i32>WEIGHTS + 8 * block * (block + D + roundUp(D, PANEL));
}

/** Bytes from one panel of weights, and of columns, to the next. */
// @ts-ignore: decorator
@inline
function panelStep(block: i32): usize {
  return <usize>block * STEP;
}

/** Panels of the block's queries; those of their gradients follow. */
// @ts-ignore: decorator
@inline
function panels(scratch: usize, block: i32): usize {
  return scratch + WEIGHTS + <usize>(8 * block * block);
}

/** Columns of the block's queries; those of their gradients follow. */
// @ts-ignore: decorator
@inline
function columns(scratch: usize, block: i32, D: i32): usize {
  return panels(scratch, block) + <usize>(8 * block * D);
}

/** Makes a block of `rows` queries ready, whose dOut and out have the rows of q, and lse one number in H. */
export function openBlock(
  scratch: usize,
  block: i32,
  q: usize,
  dOut: usize,
  out: usize,
  lse: usize,
  rowBytes: usize,
  rows: i32,
  H: i32,
  D: i32,
  scale: f32,
): void {
  v128.store(scratch, f32x4.splat(scale));
  v128.store(scratch, f32x4.splat(scale), 16);
  v128.store(scratch, f32x4.splat(1), ONES);
  const queryColumns = columns(scratch, block, D);
  packColumns(queryColumns, panelStep(block), q, rowBytes, rows, D);
  const slopeColumns = queryColumns + <usize>(4 * block * roundUp(D, PANEL));
  packColumns(slopeColumns, panelStep(block), dOut, rowBytes, rows, D);
  let to = panels(scratch, block);
  const toSlopes = <usize>(4 * block * D);
  for (let r: i32 = 0; r < rows; r += PANEL) {
    const count = min(PANEL, rows - r);
    const from = <usize>r * rowBytes;
    packQueries(to, q + from, rowBytes, count, D, scale);
    packQueries(to + toSlopes, dOut + from, rowBytes, count, D, 1);
    to += <usize>D * STEP;
  }
  for (const end = scratch + 4 * <usize>rows; scratch < end; scratch += 4) {
    store<f32>(scratch, load<f32>(lse), LSE);
    store<f32>(scratch, sumLanes(fold2<Dot>(dOut, out, D)), DELTA);
    lse += (<usize>H) << 2;
    dOut += rowBytes;
    out += rowBytes;
  }
}

/**
 * The weights of the open block on `keys` keys and the gradients of their scores; adds to dQ[rows, D], or writes
 * it where `accumulate` is 0. Keys and values come in strips, keys in columns too, `columnBytes` apart.
 */
export function pullBackBlock(
  dQ: usize,
  rowBytes: usize,
  scratch: usize,
  block: i32,
  keyStrips: usize,
  valueStrips: usize,
  keyColumns: usize,
  columnBytes: usize,
  rows: i32,
  keys: i32,
  D: i32,
  accumulate: i32,
  onDiagonal: bool,
): void {
  let weights = scratch + WEIGHTS;
  let panel = panels(scratch, block);
  const toSlopes = <usize>(4 * block * block);
  const toSlopePanel = <usize>(4 * block * D);
  const stripBytes = (<usize>D) << 4;
  for (let r: i32 = 0; r < rows; r += PANEL) {
    const seen = onDiagonal ? min(keys, r + PANEL) : keys;
    let to = weights;
    let strip: usize = 0;
    for (let s: i32 = 0; s < seen; s += STRIP) {
      scoreTile(to, keyStrips + strip, panel, D);
      scoreTile(to + toSlopes, valueStrips + strip, panel + toSlopePanel, D);
      to += <usize>STRIP * STEP;
      strip += stripBytes;
    }
    const own = scratch + ((<usize>r) << 2);
    pullBackPanel(weights, weights + toSlopes, seen, own + LSE, own + DELTA);
    if (onDiagonal) {
      const diagonal = weights + <usize>r * STEP;
      hideLater(diagonal, seen - r, 0);
      hideLater(diagonal + toSlopes, seen - r, 0);
    }
    mixPanel(
      dQ + <usize>r * rowBytes,
      rowBytes,
      weights + toSlopes,
      keyColumns,
      columnBytes,
      seen,
      min(PANEL, rows - r),
      D,
      scratch,
      accumulate,
      scratch + SPILL,
    );
    weights += panelStep(block);
    panel += <usize>D * STEP;
  }
}

/** What the open block gives to dK and dV[keys, D]: added to it, or written where `accumulate` is 0. */
export function foldBlock(
  dK: usize,
  dV: usize,
  rowBytes: usize,
  scratch: usize,
  block: i32,
  rows: i32,
  keys: i32,
  D: i32,
  accumulate: i32,
  onDiagonal: bool,
): void {
  const ones = scratch + ONES;
  const spill = scratch + SPILL;
  const weights = scratch + WEIGHTS;
  const slopes = weights + <usize>(4 * block * block);
  let query = columns(scratch, block, D);
  const toSlope = <usize>(4 * block * roundUp(D, PANEL));
  for (let d: i32 = 0; d < D; d += PANEL) {
    const count = min(PANEL, D - d);
    for (let s: i32 = 0; s < keys; s += STRIP) {
      // Queries before a key do not see it: on the diagonal, the panels before its own.
      const hidden = onDiagonal ? s / PANEL : 0;
      const at = <usize>hidden * panelStep(block) + <usize>s * STEP;
      const from = query + <usize>(hidden * PANEL) * STEP;
      const left = rows - hidden * PANEL;
      const own = min(STRIP, keys - s);
      const to = <usize>s * rowBytes + ((<usize>d) << 2);
      const slope = from + toSlope;
      foldTile(dV + to, rowBytes, weights + at, panelStep(block), slope, left, own, count, ones, accumulate, spill);
      foldTile(dK + to, rowBytes, slopes + at, panelStep(block), from, left, own, count, scratch, accumulate, spill);
    }
    query += panelStep(block);
  }
}
