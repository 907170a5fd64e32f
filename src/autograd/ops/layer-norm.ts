/** Layer normalisation over the last dimension (Ba et al. 2016). */
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x [M, C], weight and bias [C] -> [M, C]; `eps` is added to the variance. */
export const layerNorm = defineOp({
  inputs: (x: Tensor, weight: Tensor, bias: Tensor, _eps: number) => [x, weight, bias],
  forward({ engine }, x: Tensor, weight: Tensor, bias: Tensor, eps: number) {
    const out = engine.empty(x.shape);
    const mean = engine.empty([x.rows]);
    const rstd = engine.empty([x.rows]);
    engine.kernels.layerNormF32(
      out.ptr,
      mean.ptr,
      rstd.ptr,
      x.ptr,
      weight.ptr,
      bias.ptr,
      x.rows,
      x.cols,
      eps,
    );
    return { out, saved: { x, mean, rstd, weight } };
  },
  backward(engine, { x, mean, rstd, weight }, dOut, [, wantsWeight, wantsBias]) {
    const dX = engine.empty(x.shape);
    const dWeight = wantsWeight === true ? engine.zeros(weight.shape) : null;
    const dBias = wantsBias === true ? engine.zeros(weight.shape) : null;
    engine.kernels.layerNormBackwardF32(
      dX.ptr,
      dWeight?.ptr ?? 0,
      dBias?.ptr ?? 0,
      dOut.ptr,
      x.ptr,
      mean.ptr,
      rstd.ptr,
      weight.ptr,
      x.rows,
      x.cols,
    );
    return [dX, dWeight, dBias];
  },
});
