/** Softmax over valid prefixes against its twin. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

interface Sizes {
  readonly rows: number;
  readonly cols: number;
  readonly masked: boolean;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  rows: side(12),
  cols: side(150),
  masked: fc.boolean(),
});

/** Smaller entries than the smallest normal float may become 0. */
const underflow = 1.2e-38;
/** Logits are rounded to f32 once x - max is taken; e^x turns that into a relative error. */
const softmaxError = 4e-6;

for (const inPlace of [false, true]) {
  testKernel({
    name: `softmaxF32 agrees with its twin for any valid lengths${inPlace ? ", in place" : ""}`,
    sizes,
    runs: 200,
    buffers: ({ rows, cols }): Record<"out" | "inp" | "lengths", BufferSpec> => ({
      out: { role: inPlace ? "inout" : "out", length: rows * cols },
      inp: { role: "in", length: rows * cols },
      // Also lengths outside the row, which count as none and as all of it.
      lengths: { role: "in", type: "i32", length: rows, fill: (rng) => rng.int(cols + 4) - 1 },
    }),
    call: (kernels, at, { rows, cols, masked }) =>
      kernels.softmaxF32(at.out, inPlace ? at.out : at.inp, masked ? at.lengths : 0, rows, cols),
    tolerance: () => ({ relative: softmaxError, absolute: underflow }),
  });
}

testKernel({
  name: "softmaxF32 neither overflows nor loses small entries over a span of 100",
  sizes: fc.constant(401),
  runs: 1,
  regimes: ["normal"],
  buffers: (cols): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "out", length: cols },
    inp: { role: "in", length: cols, fill: (_, i) => 900 + i / 4 },
  }),
  call: (kernels, at, cols) => kernels.softmaxF32(at.out, at.inp, 0, 1, cols),
  tolerance: () => ({ relative: softmaxError, absolute: underflow }),
});
