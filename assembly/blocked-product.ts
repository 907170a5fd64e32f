// One block of K of a matrix product: which parts of a and b are packed, and the walk over the tiles.
import { packColumns, packRows, packStripFromColumns, packStripFromRows } from "./pack";
import { NR, bytes, shortTile, tallRows, tallTile } from "./tile";
import { TILE_BYTES, WIDE, usesWideTiles, wideTile } from "./wide-tile";

/** Rows of a packed at a time, a multiple of five and of six: 60 KiB. */
const MC: i32 = 60;

/** Columns of b packed at a time: 256 KiB. */
const NC: i32 = 256;

/** Below this many columns a packed strip of a is read too seldom to pay for its packing. */
const PACK_A_COLUMNS: i32 = 32;

/** Bytes of scratch for `fewRows` and `manyRows` on blocks of up to M rows, N columns and `depth` k. */
export function blockedScratchBytes(M: i32, N: i32, depth: i32): i32 {
  const panels = roundUp(min(N, NC), WIDE) * depth;
  const strips = min(M, MC) * depth;
  return TILE_BYTES + ((panels + strips) << 2);
}

/** Columns of the next panel where `left` are left: the width of the tile that reads it. */
// @ts-ignore: decorator
@inline
function panelColumns(left: i32): i32 {
  return left > NR && usesWideTiles() ? WIDE : NR;
}

// @ts-ignore: decorator
@inline
function roundUp(value: i32, multiple: i32): i32 {
  return ((value + multiple - 1) / multiple) * multiple;
}

/** One block of K with b read where it lies; only columns hanging over the edge are packed. */
export function fewRows(
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
  addend: usize,
  addendRow: usize,
): void {
  const panel = scratch + TILE_BYTES;
  for (let n: i32 = 0; n < N; n += NR) {
    const columns = min(NR, N - n);
    const whole = columns == NR;
    if (!whole) packColumns(panel, bytes(NR), b, depth, bRow, columns);
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
      addend,
      addendRow,
    );
    out += bytes(NR);
    if (addend) addend += bytes(NR);
    b += bytes(NR);
  }
}

/** One block of K with b packed, and a too where its strips are read often enough. */
export function manyRows(
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
  addend: usize,
  addendRow: usize,
): void {
  const panels = scratch + TILE_BYTES;
  const strips = panels + bytes(roundUp(min(N, NC), WIDE) * depth);
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
      let from = addend ? addend + <usize>m * addendRow + bytes(n) : 0;
      let panel = panels;
      for (let j: i32 = 0; j < width; ) {
        const wide = panelColumns(width - j);
        const step = bytes(wide);
        const columns = min(wide, width - j);
        let tile = to;
        let added = from;
        let strip = strips;
        for (let i: i32 = 0; i < tall; i++) {
          if (wide == NR) {
            tallTile(tile, strip, panel, depth, outRow, columns, alpha, added, addendRow, scratch);
          } else {
            wideTile(tile, strip, panel, depth, outRow, columns, alpha, added, addendRow, scratch);
          }
          tile += <usize>tallRows() * outRow;
          added += <usize>tallRows() * addendRow;
          strip += stripBytes;
        }
        for (let c: i32 = 0; c < columns; c += NR) {
          shortTiles(
            tile + bytes(c),
            aLow,
            panel + bytes(c),
            scratch,
            height - low,
            min(NR, columns - c),
            depth,
            aRow,
            aStep,
            step,
            outRow,
            alpha,
            added ? added + bytes(c) : 0,
            addendRow,
          );
        }
        to += step;
        if (from) from += step;
        panel += step * depth;
        j += wide;
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
  for (let j: i32 = 0; j < width; ) {
    const wide = panelColumns(width - j);
    const step = bytes(wide);
    const columns = min(wide, width - j);
    for (let c: i32 = 0; c < columns; c += NR) {
      const to = panels + bytes(c);
      const count = min(NR, columns - c);
      if (bTransposed) packRows(to, step, b + <usize>(j + c) * bRow, depth, bRow, count);
      else packColumns(to, step, b + bytes(j + c), depth, bRow, count);
    }
    panels += step * depth;
    j += wide;
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
  addend: usize,
  addendRow: usize,
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
      addend,
      addendRow,
      spill,
    );
    a += 4 * aRow;
    out += 4 * outRow;
    addend += 4 * addendRow;
  }
}
