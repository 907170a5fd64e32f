/** The mean of a sequence's token vectors. */
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** x [M, C], of which sequence b has the rows offsets[b] to offsets[b+1], offsets being i32 [B+1] -> [B, C]. */
export const meanPool = defineOp({
  inputs: (x: Tensor, _offsets: Tensor) => [x],
  forward({ engine }, x: Tensor, offsets: Tensor) {
    const out = engine.empty([offsets.size - 1, x.cols]);
    engine.kernels.meanPoolF32(out.ptr, x.ptr, offsets.ptr, out.rows, x.cols);
    return { out, saved: { offsets, shape: x.shape } };
  },
  backward(engine, { offsets, shape }, dOut) {
    const dX = engine.empty(shape);
    engine.kernels.meanPoolBackwardF32(dX.ptr, dOut.ptr, offsets.ptr, dOut.rows, dOut.cols);
    return [dX];
  },
});
