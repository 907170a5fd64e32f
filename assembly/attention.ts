/**
 * Scaled dot-product attention over packed sequences, with grouped key/value heads (arXiv 2305.13245). The
 * scores of eight queries are the most that there are at a time, and of the weights only the logarithm of
 * each row's sum is kept (FlashAttention-2, arXiv 2307.08691).
 */
import { PANEL, SPILL_BYTES, STEP, STRIP, mixPanel, roundUp, scoreTile } from "./attention-tile";
import { packColumns, packQueries, packStrips } from "./attention-pack";
import { backwardScratchBytes } from "./attention-backward";
import { hideLater, softmaxPanel } from "./attention-softmax";
import { firstRow, sequenceRows } from "./packed";

/** Bytes of scratch for attentionF32 and attentionBackwardF32 over sequences of up to T tokens, head size D. */
export function attentionScratchBytes(T: i32, D: i32): i32 {
  return max<i32>(forwardScratchBytes(T, D), backwardScratchBytes(T, D));
}

/** Sums, room for a tile, a panel of queries, its scores, strips of keys and panels of values. */
// @ts-ignore: decorator
@inline
function forwardScratchBytes(T: i32, D: i32): i32 {
  const keys = roundUp(T, STRIP);
  return 64 + SPILL_BYTES + ((D + keys) << 5) + ((keys * D) << 2) + ((T * roundUp(D, PANEL)) << 2);
}

/**
 * out[M,H*D] = softmax(scale q k^T) v per head and sequence; q is [M,H*D], k and v are [M,G*D], and each key
 * head serves `group` query heads, H = G * group. Sequence b has the rows offsets[b] to offsets[b+1], offsets
 * being i32[B+1]; none has more than T. lse[M,H] is saved for the backward pass. `causal` keeps from each
 * token those behind it. The first `heads` of the G key heads are computed: sequences and heads are
 * independent, and may be shared out. scratch: attentionScratchBytes(T, D).
 */
export function attentionF32(
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
  const spill = scratch + 64;
  const panel = spill + SPILL_BYTES;
  const scores = panel + <usize>D * STEP;
  const keyStrips = scores + <usize>roundUp(T, STRIP) * STEP;
  const valuePanels = keyStrips + <usize>roundUp(T, STRIP) * headBytes;
  const valueBytes = <usize>T * STEP;
  for (let b: i32 = 0; b < B; b++) {
    const row = <usize>firstRow(offsets, b);
    const tokens = sequenceRows(offsets, b);
    for (let g: i32 = 0; g < heads; g++) {
      const kv = row * kvWidth + <usize>g * headBytes;
      packStrips(keyStrips, k + kv, kvWidth, tokens, D);
      packColumns(valuePanels, valueBytes, v + kv, kvWidth, tokens, D);
      for (let h = g * group; h < (g + 1) * group; h++) {
        for (let i: i32 = 0; i < tokens; i += PANEL) {
          const count = min(PANEL, tokens - i);
          const keys = causal ? i + count : tokens;
          const at = row + <usize>i;
          const head = at * width + <usize>h * headBytes;
          packQueries(panel, q + head, width, count, D, scale);
          for (let s: i32 = 0; s < keys; s += STRIP) {
            const to = scores + <usize>s * STEP;
            scoreTile(to, keyStrips + <usize>s * headBytes, panel, D);
          }
          if (causal) hideLater(scores + <usize>i * STEP, count, -Infinity);
          const rowSums = lse + ((at * H + h) << 2);
          softmaxPanel(scores, keys, scratch, rowSums, (<usize>H) << 2, count);
          mixPanel(out + head, width, scores, valuePanels, valueBytes, keys, count, D, scratch, 0, spill);
        }
      }
    }
  }
}
