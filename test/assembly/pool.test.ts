/** Mean pooling over valid tokens and its backward. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly C: number;
  readonly padded: boolean;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: side(5),
  T: side(30),
  C: side(70),
  padded: fc.boolean(),
});

function lengthsSpec({ B, T }: Sizes): BufferSpec {
  return { role: "in", type: "i32", length: B, fill: (rng) => rng.int(T + 2) };
}

testKernel({
  name: "meanPoolF32 agrees with its twin; an empty sequence gives zeros",
  sizes,
  buffers: (sizes): Record<"out" | "inp" | "lengths", BufferSpec> => ({
    out: { role: "out", length: sizes.B * sizes.C },
    inp: { role: "in", length: sizes.B * sizes.T * sizes.C },
    lengths: lengthsSpec(sizes),
  }),
  call: (kernels, at, { B, T, C, padded }) =>
    kernels.meanPoolF32(at.out, at.inp, padded ? at.lengths : 0, B, T, C),
  // Up to 30 terms summed in f32.
  tolerance: (_, magnitude) => ({ relative: 1e-6, absolute: 1e-6 * magnitude }),
});

testKernel({
  name: "meanPoolBackwardF32 spreads the gradient over valid tokens only",
  sizes,
  buffers: (sizes): Record<"dInp" | "dOut" | "lengths", BufferSpec> => ({
    dInp: { role: "out", length: sizes.B * sizes.T * sizes.C },
    dOut: { role: "in", length: sizes.B * sizes.C },
    lengths: lengthsSpec(sizes),
  }),
  call: (kernels, at, { B, T, C, padded }) =>
    kernels.meanPoolBackwardF32(at.dInp, at.dOut, padded ? at.lengths : 0, B, T, C),
  tolerance: () => ({ relative: 2e-7 }),
});
