/** The sum of two tensors of one shape: residual connections. */
import { shapeText } from "../../base/arrays.ts";
import { ShapeError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x + y, both of the same shape. Throws ShapeError otherwise. */
export const add = defineOp({
  inputs: (x: Tensor, y: Tensor) => [x, y],
  forward({ engine }, x: Tensor, y: Tensor) {
    if (x.size !== y.size) {
      throw new ShapeError("add", { expected: shapeText(x.shape), got: shapeText(y.shape) });
    }
    const out = engine.empty(x.shape);
    engine.kernels.addF32(out.ptr, x.ptr, y.ptr, x.size);
    return { out, saved: null };
  },
  backward: (_engine, _saved, dOut) => [dOut, dOut],
});
