/** Element-wise activations; each is a pair of kernels in one table. */
import type { Kernels } from "../../backend/kernels.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp, overGradient } from "../op.ts";

type Forward = (out: number, inp: number, n: number) => void;
type Backward = (dInp: number, dOut: number, saved: number, n: number) => void;

interface ActivationKernels {
  forward(kernels: Kernels): Forward;
  backward(kernels: Kernels): Backward;
  /** What the derivative is computed from. */
  readonly saves: "input" | "output";
}

/** The activations by the name that config files use. */
export const activations = {
  gelu: {
    forward: (k) => k.geluF32,
    backward: (k) => k.geluBackwardF32,
    saves: "input",
  },
  gelu_tanh: {
    forward: (k) => k.geluTanhF32,
    backward: (k) => k.geluTanhBackwardF32,
    saves: "input",
  },
  silu: { forward: (k) => k.siluF32, backward: (k) => k.siluBackwardF32, saves: "input" },
  relu: { forward: (k) => k.reluF32, backward: (k) => k.reluBackwardF32, saves: "input" },
  tanh: { forward: (k) => k.tanhF32, backward: (k) => k.tanhBackwardF32, saves: "output" },
} as const satisfies Record<string, ActivationKernels>;

export type ActivationName = keyof typeof activations;

/** x of any shape -> the same shape. */
export const activation = defineOp({
  inputs: (x: Tensor, _name: ActivationName) => [x],
  forward({ engine }, x: Tensor, name: ActivationName) {
    const { forward, backward, saves } = activations[name];
    const out = engine.empty(x.shape);
    forward(engine.kernels)(out.ptr, x.ptr, x.size);
    return { out, saved: { backward, kept: saves === "input" ? x : out } };
  },
  backward(engine, { backward, kept }, dOut) {
    const dInp = overGradient(engine, dOut);
    backward(engine.kernels)(dInp.ptr, dOut.ptr, kept.ptr, dOut.size);
    return [dInp];
  },
});
