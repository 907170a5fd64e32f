/** Mean pooling over packed sequences and its backward. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";
import { offsetsOf, offsetsSpec } from "../support/packed-sizes.ts";

interface Sizes {
  readonly lengths: readonly number[];
  readonly C: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  lengths: fc.array(side(30), { maxLength: 5 }),
  C: side(70),
});

const rowsOf = ({ lengths }: Sizes): number => offsetsOf(lengths).at(-1) as number;

testKernel({
  name: "meanPoolF32 agrees with its twin; an empty sequence gives zeros",
  sizes,
  buffers: (sizes): Record<"out" | "inp" | "offsets", BufferSpec> => ({
    out: { role: "out", length: sizes.lengths.length * sizes.C },
    inp: { role: "in", length: rowsOf(sizes) * sizes.C },
    offsets: offsetsSpec(sizes.lengths),
  }),
  call: (kernels, at, { lengths, C }) =>
    kernels.meanPoolF32(at.out, at.inp, at.offsets, lengths.length, C),
  // Up to 30 terms summed in f32.
  tolerance: (_, magnitude) => ({ relative: 1e-6, absolute: 1e-6 * magnitude }),
});

testKernel({
  name: "meanPoolBackwardF32 spreads the gradient over the tokens of each sequence",
  sizes,
  buffers: (sizes): Record<"dInp" | "dOut" | "offsets", BufferSpec> => ({
    dInp: { role: "out", length: rowsOf(sizes) * sizes.C },
    dOut: { role: "in", length: sizes.lengths.length * sizes.C },
    offsets: offsetsSpec(sizes.lengths),
  }),
  call: (kernels, at, { lengths, C }) =>
    kernels.meanPoolBackwardF32(at.dInp, at.dOut, at.offsets, lengths.length, C),
  tolerance: () => ({ relative: 2e-7 }),
});
