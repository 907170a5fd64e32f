/** Optimiser steps against their twins over many steps. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

/** Agreement asked of a parameter with PyTorch's formulas in f64. */
const parameterError = 1e-6;

interface AdamSizes {
  readonly n: number;
  readonly step: number;
  readonly weightDecay: number;
  readonly gradScale: number;
}

const adamSizes: fc.Arbitrary<AdamSizes> = fc.record({
  n: side(100),
  step: fc.integer({ min: 1, max: 2000 }),
  weightDecay: fc.constantFrom(0, 0.01, 0.1),
  gradScale: fc.constantFrom(1, 0.25),
});

testKernel({
  name: "adamWF32 takes the step of PyTorch's AdamW",
  sizes: adamSizes,
  runs: 200,
  regimes: ["normal", "special"],
  buffers: ({ n }): Record<"param" | "m" | "v" | "grad", BufferSpec> => ({
    param: { role: "inout", length: n },
    m: { role: "inout", length: n },
    v: { role: "inout", length: n, fill: (rng) => rng.next() ** 4 },
    grad: { role: "in", length: n },
  }),
  call: (kernels, at, { n, step, weightDecay, gradScale }) =>
    kernels.adamWF32(
      ...([at.param, at.m, at.v, at.grad, n, 1e-3, 0.9, 0.999, 1e-8, weightDecay] as const),
      ...([1 - 0.9 ** step, 1 - 0.999 ** step, gradScale] as const),
    ),
  tolerance: () => ({ relative: parameterError, absolute: 2e-7 }),
});

testKernel({
  name: "adamWF32 stays with PyTorch's AdamW over twenty steps from a fresh state",
  sizes: fc.constant(37),
  runs: 3,
  regimes: ["normal", "tiny"],
  buffers: (n): Record<"param" | "m" | "v" | "grad", BufferSpec> => ({
    param: { role: "inout", length: n, fill: () => 0 },
    m: { role: "inout", length: n, fill: () => 0 },
    v: { role: "inout", length: n, fill: () => 0 },
    // From zero and with one gradient the parameters are the sum of twenty updates of one sign.
    grad: { role: "in", length: n },
  }),
  call: (kernels, at, n) => {
    for (let step = 1; step <= 20; step++) {
      kernels.adamWF32(
        ...([at.param, at.m, at.v, at.grad, n, 1e-3, 0.9, 0.999, 1e-8, 0] as const),
        ...([1 - 0.9 ** step, 1 - 0.999 ** step, 1] as const),
      );
    }
  },
  tolerance: () => ({ relative: 2 * parameterError }),
});

interface SgdSizes {
  readonly n: number;
  readonly mu: number;
  readonly weightDecay: number;
  readonly hasMomentum: boolean;
}

testKernel({
  name: "sgdF32 takes the step of PyTorch's SGD, with and without momentum",
  sizes: fc.record({
    n: side(100),
    mu: fc.constantFrom(0, 0.9),
    weightDecay: fc.constantFrom(0, 0.01),
    hasMomentum: fc.boolean(),
  }) satisfies fc.Arbitrary<SgdSizes>,
  buffers: ({ n }): Record<"param" | "momentum" | "grad", BufferSpec> => ({
    param: { role: "inout", length: n },
    momentum: { role: "inout", length: n },
    grad: { role: "in", length: n },
  }),
  call: (kernels, at, { n, mu, weightDecay, hasMomentum }) =>
    kernels.sgdF32(
      ...([
        at.param,
        hasMomentum ? at.momentum : 0,
        at.grad,
        n,
        0.1,
        mu,
        weightDecay,
        0.5,
      ] as const),
    ),
  tolerance: (_, magnitude) => ({ relative: parameterError, absolute: 3e-7 * magnitude }),
});
