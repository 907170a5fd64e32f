/** Root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019). */
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x [M, C], weight [C] -> [M, C]; `eps` is added to the mean square. */
export const rmsNorm = defineOp({
  inputs: (x: Tensor, weight: Tensor, _eps: number) => [x, weight],
  forward({ engine }, x: Tensor, weight: Tensor, eps: number) {
    const out = engine.empty(x.shape);
    const rstd = engine.empty([x.rows]);
    engine.kernels.rmsNormF32(out.ptr, rstd.ptr, x.ptr, weight.ptr, x.rows, x.cols, eps);
    return { out, saved: { x, rstd, weight } };
  },
  backward(engine, { x, rstd, weight }, dOut, [, wantsWeight]) {
    const dX = engine.empty(x.shape);
    const dWeight = wantsWeight === true ? engine.zeros(weight.shape) : null;
    engine.kernels.rmsNormBackwardF32(
      dX.ptr,
      dWeight?.ptr ?? 0,
      dOut.ptr,
      x.ptr,
      rstd.ptr,
      weight.ptr,
      x.rows,
      x.cols,
    );
    return [dX, dWeight];
  },
});
