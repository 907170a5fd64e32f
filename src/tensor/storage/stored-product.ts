/** The products of a frozen weight that is not stored in f32: there are two, and neither changes it. */
import { shapeText } from "../../base/arrays.ts";
import { ShapeError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { Tensor } from "../tensor.ts";
import { isStored, storageOf } from "./storages.ts";

/** What a product may be told besides its operands. */
interface Options {
  readonly alpha?: number;
  readonly accumulate?: boolean;
}

/**
 * out = alpha a w ("Nn", the gradient of a layer's input) or alpha a wᵀ ("Nt", its forward product) (+ out).
 * Throws ShapeError for the gradient of w ("Tn"), where sides do not meet, and where a stored weight is to be written.
 */
export function storedProduct(
  engine: Engine,
  kind: "Nn" | "Nt" | "Tn",
  a: Tensor,
  weight: Tensor,
  out: Tensor,
  { alpha = 1, accumulate = false }: Options,
): Tensor {
  if (isStored(out) || isStored(a) || kind === "Tn") {
    throw new ShapeError("product: a weight that is stored to be frozen cannot change", {
      expected: "f32",
      got: [out, a, weight].map(({ dtype }) => dtype).find((dtype) => dtype !== "f32") ?? "f32",
      hint: "load the base in f32 to train its weights or to merge an adapter into them",
    });
  }
  const [inner, outer] = kind === "Nt" ? [weight.cols, weight.rows] : [weight.rows, weight.cols];
  if (a.cols !== inner || out.cols !== outer || out.rows !== a.rows) {
    throw new ShapeError(`product with ${weight.dtype} weights`, {
      expected: `a [M, ${inner}] and out [M, ${outer}]`,
      got: `${shapeText(a.shape)} and ${shapeText(out.shape)}`,
    });
  }
  const mark = engine.arena.mark();
  storageOf(weight).multiply(engine, { kind, out, a, weight, alpha, accumulate });
  engine.arena.release(mark);
  return out;
}
