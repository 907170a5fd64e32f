/** silu(gate) · up: the middle of a gated MLP (Shazeer 2020, SwiGLU). */
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** gate and up [M, F] -> [M, F]. */
export const siluMul = defineOp({
  inputs: (gate: Tensor, up: Tensor) => [gate, up],
  forward({ engine }, gate: Tensor, up: Tensor) {
    const out = engine.empty(gate.shape);
    engine.kernels.siluMulF32(out.ptr, gate.ptr, up.ptr, gate.size);
    return { out, saved: { gate, up } };
  },
  backward(engine, { gate, up }, dOut) {
    const dGate = engine.empty(gate.shape);
    const dUp = engine.empty(up.shape);
    engine.kernels.siluMulBackwardF32(dGate.ptr, dUp.ptr, dOut.ptr, gate.ptr, up.ptr, gate.size);
    return [dGate, dUp];
  },
});
