/** Scaled dot-product attention over padded batches, bidirectional or causal, with grouped key-value heads. */
import { ShapeError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** Sizes of one call: B sequences of T tokens, H query heads, G key-value heads (G divides H), head size D. */
export interface AttentionShape {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
  readonly causal: boolean;
}

/** q [B·T, H·D], k and v [B·T, G·D], lengths i32 [B] -> [B·T, H·D]; rows past a sequence's length are zero. */
export const attention = defineOp({
  inputs: (q: Tensor, k: Tensor, v: Tensor, _lengths: Tensor, _shape: AttentionShape) => [q, k, v],
  forward({ engine }, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, shape: AttentionShape) {
    const { B, T, H, G, D, causal } = shape;
    if (q.size !== B * T * H * D || k.size !== B * T * G * D || H % G !== 0) {
      throw new ShapeError("attention", {
        expected: `q of ${B * T}x${H * D} and k of ${B * T}x${G * D}, G dividing H`,
        got: `${q.size} and ${k.size} elements, H ${H}, G ${G}`,
      });
    }
    const scale = 1 / Math.sqrt(D);
    const out = engine.empty([B * T, H * D]);
    const probs = engine.empty([B, H, T, T]);
    const mark = engine.arena.mark();
    const scratch = engine.scratch(engine.kernels.attentionScratchBytes(T, D));
    engine.kernels.attentionF32(
      out.ptr,
      probs.ptr,
      q.ptr,
      k.ptr,
      v.ptr,
      lengths.ptr,
      scratch,
      B,
      T,
      H,
      G,
      D,
      scale,
      causal ? 1 : 0,
    );
    engine.arena.release(mark);
    return { out, saved: { q, k, v, lengths, probs, scale, shape } };
  },
  backward(engine, { q, k, v, lengths, probs, scale, shape }, dOut) {
    const { B, T, H, G, D } = shape;
    const dQ = engine.empty(q.shape);
    const dK = engine.empty(k.shape);
    const dV = engine.empty(v.shape);
    const mark = engine.arena.mark();
    const scratch = engine.scratch(engine.kernels.attentionScratchBytes(T, D));
    engine.kernels.attentionBackwardF32(
      dQ.ptr,
      dK.ptr,
      dV.ptr,
      dOut.ptr,
      probs.ptr,
      q.ptr,
      k.ptr,
      v.ptr,
      lengths.ptr,
      scratch,
      B,
      T,
      H,
      G,
      D,
      scale,
    );
    engine.arena.release(mark);
    return [dQ, dK, dV];
  },
});
