/** Scaled dot-product attention within packed sequences, bidirectional or causal, with grouped key-value heads. */
import { ShapeError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** Sizes of one call: H query heads, G key-value heads (G divides H), head size D. */
export interface AttentionShape {
  readonly H: number;
  readonly G: number;
  readonly D: number;
  /** Tokens of the longest sequence. */
  readonly longest: number;
  readonly causal: boolean;
}

/**
 * q [M, H·D], k and v [M, G·D] -> [M, H·D], where sequence b has the rows offsets[b] to offsets[b+1], offsets
 * being i32 [B+1]. Saves one number per row and head; the backward pass computes the weights once more.
 */
export const attention = defineOp({
  inputs: (q: Tensor, k: Tensor, v: Tensor, _offsets: Tensor, _shape: AttentionShape) => [q, k, v],
  forward({ engine }, q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, shape: AttentionShape) {
    const { H, G, D, longest, causal } = shape;
    const M = q.rows;
    if (q.cols !== H * D || k.size !== M * G * D || v.size !== k.size || H % G !== 0) {
      throw new ShapeError("attention", {
        expected: `q of ${M}x${H * D} and k of ${M}x${G * D}, G dividing H`,
        got: `${q.size} and ${k.size} elements, H ${H}, G ${G}`,
      });
    }
    const scale = 1 / Math.sqrt(D);
    const out = engine.empty([M, H * D]);
    const lse = engine.empty([M, H]);
    const mark = engine.arena.mark();
    const scratch = engine.scratch(engine.kernels.attentionScratchBytes(longest, D));
    engine.kernels.attentionF32(
      out.ptr,
      lse.ptr,
      q.ptr,
      k.ptr,
      v.ptr,
      offsets.ptr,
      scratch,
      offsets.size - 1,
      longest,
      G,
      H / G,
      G,
      D,
      scale,
      causal ? 1 : 0,
    );
    engine.arena.release(mark);
    return { out, saved: { q, k, v, offsets, out, lse, scale, shape } };
  },
  backward(engine, { q, k, v, offsets, out, lse, scale, shape }, dOut) {
    const { H, G, D, longest, causal } = shape;
    const dQ = engine.empty(q.shape);
    const dK = engine.empty(k.shape);
    const dV = engine.empty(v.shape);
    const mark = engine.arena.mark();
    const scratch = engine.scratch(engine.kernels.attentionScratchBytes(longest, D));
    engine.kernels.attentionBackwardF32(
      dQ.ptr,
      dK.ptr,
      dV.ptr,
      dOut.ptr,
      out.ptr,
      lse.ptr,
      q.ptr,
      k.ptr,
      v.ptr,
      offsets.ptr,
      scratch,
      offsets.size - 1,
      longest,
      G,
      H / G,
      G,
      D,
      scale,
      causal ? 1 : 0,
    );
    engine.arena.release(mark);
    return [dQ, dK, dV];
  },
});
