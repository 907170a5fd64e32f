/** Layer norm and RMS norm against their twins. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec, type Tolerance } from "../support/kernel-suite.ts";

interface Sizes {
  readonly rows: number;
  readonly cols: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({ rows: side(12), cols: side(150) });

/** A row of up to 150 f32 terms, summed in 16 or 8 lanes and normalised to about 1. */
const rowError = 2e-6;
/** Rows of one or two columns have almost no spread: 1 / spread multiplies every rounding. */
const eps = 1e-3;

function forwardTolerance(): Tolerance {
  return { relative: 1e-5, absolute: rowError };
}

testKernel({
  name: "layerNormF32 agrees with its twin",
  sizes,
  regimes: ["normal", "tiny", "special"],
  buffers: ({ rows, cols }): Record<"out" | "mean" | "rstd" | "inp" | "w" | "b", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    mean: { role: "out", length: rows },
    rstd: { role: "out", length: rows },
    inp: { role: "in", length: rows * cols },
    w: { role: "in", length: cols },
    b: { role: "in", length: cols },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.layerNormF32(at.out, at.mean, at.rstd, at.inp, at.w, at.b, rows, cols, eps),
  tolerance: forwardTolerance,
});

interface BackwardSizes extends Sizes {
  /** Whether dWeight and dBias are asked for. */
  readonly weight: boolean;
  readonly bias: boolean;
}

const backwardSizes: fc.Arbitrary<BackwardSizes> = fc.record({
  rows: side(12),
  cols: side(150),
  weight: fc.boolean(),
  bias: fc.boolean(),
});

type Backward = "dInp" | "dWeight" | "dBias" | "dOut" | "inp" | "mean" | "rstd" | "w";

function backwardBuffers({ rows, cols }: BackwardSizes): Record<Backward, BufferSpec> {
  return {
    dInp: { role: "out", length: rows * cols },
    dWeight: { role: "inout", length: cols },
    dBias: { role: "inout", length: cols },
    dOut: { role: "in", length: rows * cols },
    inp: { role: "in", length: rows * cols },
    mean: { role: "in", length: rows, fill: (rng) => rng.normal() / 4 },
    rstd: { role: "in", length: rows, fill: (rng) => 0.5 + rng.next() },
    w: { role: "in", length: cols },
  };
}

/** Products of two or three drawn values, summed over up to 150 columns or 12 rows. */
function backwardTolerance(power: number) {
  return (_: BackwardSizes, magnitude: number): Tolerance => ({
    relative: 1e-5,
    absolute: 10 * rowError * Math.max(magnitude, magnitude ** power),
  });
}

testKernel({
  name: "layerNormBackwardF32 agrees with its twin, with and without gradients of its parameters",
  sizes: backwardSizes,
  regimes: ["normal", "tiny", "special"],
  buffers: backwardBuffers,
  call: (kernels, at, { rows, cols, weight, bias }) =>
    kernels.layerNormBackwardF32(
      at.dInp,
      weight ? at.dWeight : 0,
      bias ? at.dBias : 0,
      at.dOut,
      at.inp,
      at.mean,
      at.rstd,
      at.w,
      rows,
      cols,
    ),
  tolerance: backwardTolerance(3),
});

testKernel({
  name: "rmsNormBackwardF32 agrees with its twin, with and without gradients of its parameters",
  sizes: backwardSizes,
  regimes: ["normal", "tiny", "special"],
  buffers: backwardBuffers,
  call: (kernels, at, { rows, cols, weight }) =>
    kernels.rmsNormBackwardF32(
      at.dInp,
      weight ? at.dWeight : 0,
      at.dOut,
      at.inp,
      at.rstd,
      at.w,
      rows,
      cols,
    ),
  tolerance: backwardTolerance(3),
});

testKernel({
  name: "rmsNormF32 agrees with its twin",
  sizes,
  buffers: ({ rows, cols }): Record<"out" | "rstd" | "inp" | "w", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    rstd: { role: "out", length: rows },
    inp: { role: "in", length: rows * cols },
    w: { role: "in", length: cols },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.rmsNormF32(at.out, at.rstd, at.inp, at.w, rows, cols, eps),
  tolerance: forwardTolerance,
});

testKernel({
  name: "layerNormF32 keeps its digits when the mean is large against the spread",
  sizes: fc.constant({ rows: 3, cols: 128 }),
  runs: 5,
  regimes: ["normal"],
  buffers: ({ rows, cols }): Record<"out" | "mean" | "rstd" | "inp" | "w" | "b", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    mean: { role: "out", length: rows },
    rstd: { role: "out", length: rows },
    inp: { role: "in", length: rows * cols, fill: (rng) => 1000 + rng.normal() },
    w: { role: "in", length: cols, fill: () => 1 },
    b: { role: "in", length: cols, fill: () => 0 },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.layerNormF32(at.out, at.mean, at.rstd, at.inp, at.w, at.b, rows, cols, eps),
  // The mean of 1000 is known to half a unit in the last place, 3e-5; a few of these may add up.
  tolerance: () => ({ absolute: 2e-4 }),
});
