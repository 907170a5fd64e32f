/**
 * The backward pass of attention: blocks of queries against blocks of keys, whose weights are computed once
 * more from the saved logarithms (FlashAttention-2, arXiv 2307.08691, algorithm 2).
 */
import { blockBytes, blockSize, foldBlock, openBlock, pullBackBlock } from "./attention-block";
import { PANEL, STEP, STRIP, roundUp } from "./attention-tile";
import { packColumns, packStrips } from "./attention-pack";
import { firstRow, sequenceRows } from "./packed";

/** A block, and all keys and values in strips, keys in columns too. */
// @ts-ignore: decorator
@inline
export function backwardScratchBytes(T: i32, D: i32): i32 {
  return blockBytes(blockSize(T), D) + ((roundUp(T, STRIP) * (2 * D + roundUp(D, PANEL))) << 2);
}

/**
 * dQ[M,H*D], dK and dV[M,G*D] from dOut[M,H*D] and what attentionF32 saw, put out and saved. The query heads
 * of a group are added to dK and dV in ascending order. Sequences, heads and scratch as of attentionF32.
 */
export function attentionBackwardF32(
  dQ: usize,
  dK: usize,
  dV: usize,
  dOut: usize,
  out: usize,
  lse: usize,
  q: usize,
  k: usize,
  v: usize,
  offsets: usize,
  scratch: usize,
  B: i32,
  T: i32,
  heads: i32,
  group: i32,
  G: i32,
  D: i32,
  scale: f32,
  causal: i32,
): void {
  const H = G * group;
  const width = <usize>(H * D) << 2;
  const kvWidth = <usize>(G * D) << 2;
  const headBytes = (<usize>D) << 2;
  const block = blockSize(T);
  const keyStrips = scratch + blockBytes(block, D);
  const valueStrips = keyStrips + <usize>roundUp(T, STRIP) * headBytes;
  const keyColumns = valueStrips + <usize>roundUp(T, STRIP) * headBytes;
  const columnBytes = <usize>T * STEP;
  for (let b: i32 = 0; b < B; b++) {
    const row = <usize>firstRow(offsets, b);
    const tokens = sequenceRows(offsets, b);
    for (let g: i32 = 0; g < heads; g++) {
      const kv = row * kvWidth + <usize>g * headBytes;
      packStrips(keyStrips, k + kv, kvWidth, tokens, D);
      packStrips(valueStrips, v + kv, kvWidth, tokens, D);
      packColumns(keyColumns, columnBytes, k + kv, kvWidth, tokens, D);
      for (let h = g * group; h < (g + 1) * group; h++) {
        for (let i: i32 = 0; i < tokens; i += block) {
          const rows = min(block, tokens - i);
          const at = row + <usize>i;
          const head = at * width + <usize>h * headBytes;
          const sums = lse + ((at * H + h) << 2);
          openBlock(scratch, block, q + head, dOut + head, out + head, sums, width, rows, H, D, scale);
          const end = causal ? i + rows : tokens;
          for (let j: i32 = 0; j < end; j += block) {
            const keys = min(block, end - j);
            const onDiagonal = causal != 0 && j == i;
            const strips = <usize>j * headBytes;
            pullBackBlock(
              dQ + head,
              width,
              scratch,
              block,
              keyStrips + strips,
              valueStrips + strips,
              keyColumns + <usize>j * STEP,
              columnBytes,
              rows,
              keys,
              D,
              i32(j > 0),
              onDiagonal,
            );
            const isFirst = h == g * group && (causal ? j == i : i == 0);
            const to = kv + <usize>j * kvWidth;
            foldBlock(dK + to, dV + to, kvWidth, scratch, block, rows, keys, D, i32(!isFirst), onDiagonal);
          }
        }
      }
    }
  }
}
