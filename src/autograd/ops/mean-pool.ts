/** The mean of a sequence's valid token vectors. */
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x [B·T, C], lengths i32 [B] -> [B, C]. */
export const meanPool = defineOp({
  inputs: (x: Tensor, _lengths: Tensor) => [x],
  forward({ engine }, x: Tensor, lengths: Tensor) {
    const B = lengths.size;
    const T = x.rows / B;
    const out = engine.empty([B, x.cols]);
    engine.kernels.meanPoolF32(out.ptr, x.ptr, lengths.ptr, B, T, x.cols);
    return { out, saved: { lengths, T, shape: x.shape } };
  },
  backward(engine, { lengths, T, shape }, dOut) {
    const dX = engine.empty(shape);
    engine.kernels.meanPoolBackwardF32(dX.ptr, dOut.ptr, lengths.ptr, lengths.size, T, dOut.cols);
    return [dX];
  },
});
