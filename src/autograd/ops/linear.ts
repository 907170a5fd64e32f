/** y = x Wᵀ + b. */
import { shapeText } from "../../base/arrays.ts";
import { ShapeError } from "../../base/errors.ts";
import type { Engine } from "../../tensor/engine.ts";
import { isStored } from "../../tensor/storage/storages.ts";
import { storedProduct } from "../../tensor/storage/stored-product.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x [M, K], weight [N, K], bias [N] or null -> [M, N]. Throws ShapeError if K differs. */
export const linear = defineOp({
  inputs: (x: Tensor, weight: Tensor, bias: Tensor | null) => [x, weight, bias],
  forward(tape, x: Tensor, weight: Tensor, bias: Tensor | null) {
    // A frozen weight needs no gradient, and its gradient alone needs x.
    const kept = tape.tracks(weight) ? x : null;
    return { out: affine(tape.engine, x, weight, bias), saved: { x: kept, weight } };
  },
  backward(engine, { x, weight }, dOut, [wantsX, wantsWeight, wantsBias]) {
    const dX = wantsX === true ? product(engine, "Nn", dOut, weight) : null;
    const dWeight = wantsWeight === true && x !== null ? product(engine, "Tn", dOut, x) : null;
    return [dX, dWeight, wantsBias === true ? columnSums(engine, dOut) : null];
  },
});

/** x [M, K] times weight [N, K] transposed, plus bias: the forward product of every linear layer. */
export function affine(engine: Engine, x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  if (x.cols !== weight.cols || (bias !== null && bias.size !== weight.rows)) {
    throw new ShapeError("linear", {
      expected: `x [M, ${weight.cols}] and bias [${weight.rows}]`,
      got: `${shapeText(x.shape)} and ${bias === null ? "none" : shapeText(bias.shape)}`,
    });
  }
  const out = engine.empty([x.rows, weight.rows]);
  if (bias === null) return product(engine, "Nt", x, weight, { out });
  const { kernels } = engine;
  const [M, N, K] = [x.rows, weight.rows, x.cols];
  if (isStored(weight)) {
    kernels.broadcastRowF32(out.ptr, bias.ptr, M, N);
    return product(engine, "Nt", x, weight, { out, accumulate: true });
  }
  const mark = engine.arena.mark();
  const scratch = engine.scratch(kernels.matmulScratchBytes(M, N, K));
  kernels.affineF32(out.ptr, x.ptr, weight.ptr, bias.ptr, scratch, M, N, K, K, K, N);
  engine.arena.release(mark);
  return out;
}

export interface ProductOptions {
  readonly out?: Tensor;
  readonly alpha?: number;
  readonly accumulate?: boolean;
}

/**
 * A matrix product: "Nn" a b, "Nt" a bᵀ, "Tn" aᵀ b. A frozen weight in a format of its own may be b, not of "Tn".
 * Throws ShapeError where one would be written to.
 */
export function product(
  engine: Engine,
  kind: "Nn" | "Nt" | "Tn",
  a: Tensor,
  b: Tensor,
  options: ProductOptions = {},
): Tensor {
  const M = kind === "Tn" ? a.cols : a.rows;
  const K = kind === "Tn" ? a.rows : a.cols;
  const N = kind === "Nt" ? b.rows : b.cols;
  const out = options.out ?? engine.empty([M, N]);
  if (isStored(out) || isStored(b)) return storedProduct(engine, kind, a, b, out, options);
  const { kernels } = engine;
  const run =
    kind === "Nn" ? kernels.matmulNnF32 : kind === "Nt" ? kernels.matmulNtF32 : kernels.matmulTnF32;
  const mark = engine.arena.mark();
  const scratch = engine.scratch(kernels.matmulScratchBytes(M, N, K));
  const accumulate = options.accumulate === true ? 1 : 0;
  run(out.ptr, a.ptr, b.ptr, scratch, M, N, K, a.cols, b.cols, N, options.alpha ?? 1, accumulate);
  engine.arena.release(mark);
  return out;
}

/** [M, N] -> [N]: the gradient of a bias. */
export function columnSums(engine: Engine, x: Tensor): Tensor {
  const out = engine.zeros([x.cols]);
  engine.kernels.sumRowsF32(out.ptr, x.ptr, x.rows, x.cols);
  return out;
}
