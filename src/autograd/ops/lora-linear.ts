/** y = x Wᵀ + b + s · dropout(x) Aᵀ Bᵀ with a frozen or trained base: LoRA (Hu et al. 2021, section 4.1). */
import type { Engine } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";
import { dropoutMask, applyDropout, type DropoutMask } from "./dropout.ts";
import { affine, columnSums, product } from "./linear.ts";

/** The low-rank pair of one linear layer: a [R, K], b [N, R], added with factor `scale` = alpha / R. */
export interface LowRank {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly scale: number;
  /** Fraction of inputs dropped on the low-rank path while training. */
  readonly dropout: number;
}

/** x [M, K], weight [N, K], bias [N] or null -> [M, N]. */
export const loraLinear = defineOp({
  inputs: (x: Tensor, weight: Tensor, bias: Tensor | null, low: LowRank) => [
    x,
    weight,
    bias,
    low.a,
    low.b,
  ],
  forward(tape, x: Tensor, weight: Tensor, bias: Tensor | null, low: LowRank) {
    const { engine } = tape;
    const out = affine(engine, x, weight, bias);
    const mask = dropoutMask(tape, low.dropout);
    const dropped = mask === null ? x : applyDropout(engine, x, mask);
    const h = product(engine, "Nt", dropped, low.a);
    product(engine, "Nt", h, low.b, { out, alpha: low.scale, accumulate: true });
    const kept = tape.tracks(weight) ? x : null;
    return { out, saved: { x: kept, dropped, h, weight, low, mask } };
  },
  backward(engine, saved, dOut, [wantsX, wantsWeight, wantsBias, wantsA, wantsB]) {
    const { x, dropped, h, weight, low, mask } = saved;
    const dB = wantsB === true ? product(engine, "Tn", dOut, h, { alpha: low.scale }) : null;
    const dH = product(engine, "Nn", dOut, low.b, { alpha: low.scale });
    const dA = wantsA === true ? product(engine, "Tn", dH, dropped) : null;
    return [
      wantsX === true ? inputGradient(engine, dOut, dH, weight, low, mask) : null,
      wantsWeight === true && x !== null ? product(engine, "Tn", dOut, x) : null,
      wantsBias === true ? columnSums(engine, dOut) : null,
      dA,
      dB,
    ];
  },
});

function inputGradient(
  engine: Engine,
  dOut: Tensor,
  dH: Tensor,
  weight: Tensor,
  low: LowRank,
  mask: DropoutMask | null,
): Tensor {
  const dX = product(engine, "Nn", dOut, weight);
  if (mask === null) return product(engine, "Nn", dH, low.a, { out: dX, accumulate: true });
  const dDropped = applyDropout(engine, product(engine, "Nn", dH, low.a), mask);
  engine.kernels.axpyF32(dX.ptr, dDropped.ptr, 1, dX.size);
  return dX;
}
