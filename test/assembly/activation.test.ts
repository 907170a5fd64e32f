/** Activations and their derivatives against their definitions in f64. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec, type Tolerance } from "../support/kernel-suite.ts";

/** Where e^x leaves the range of f32 the result becomes 0; it is below this by then. */
const underflow = 1e-35;
/**
 * What the sources of the kernels promise. Rounding in the exponent of e^z multiplies with z, up to
 * 88; the fit of Phi is good to 2e-7 absolute and stands next to an x of up to 5.6.
 */
const accuracy = {
  geluF32: { absolute: 1e-6 },
  geluTanhF32: { relative: 2e-5, absolute: underflow },
  siluF32: { relative: 3e-7, absolute: underflow },
  reluF32: { relative: 0 },
  tanhF32: { relative: 4e-7 },
} satisfies Record<string, Tolerance>;
/** What a derivative loses where its two terms cancel, near its zero. */
const slopeError = 4e-7;

const forward = ["geluF32", "geluTanhF32", "siluF32", "reluF32", "tanhF32"] as const;
for (const name of forward) {
  testKernel({
    name: `${name} agrees with its definition`,
    sizes: side(300),
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", length: n },
      inp: { role: "in", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: () => accuracy[name],
  });
}

const backward = [
  "geluBackwardF32",
  "geluTanhBackwardF32",
  "siluBackwardF32",
  "reluBackwardF32",
  "tanhBackwardF32",
] as const;
for (const name of backward) {
  testKernel({
    name: `${name} agrees with the derivative, in place too`,
    sizes: side(300),
    buffers: (n): Record<"slope" | "inp", BufferSpec> => ({
      slope: { role: "inout", length: n },
      inp: { role: "in", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.slope, at.slope, at.inp, n),
    tolerance: (_, magnitude) => ({ relative: 1e-6, absolute: 5 * slopeError * magnitude }),
  });
}

testKernel({
  name: "siluMulF32 agrees with its definition",
  sizes: side(300),
  buffers: (n): Record<"out" | "gate" | "up", BufferSpec> => ({
    out: { role: "out", length: n },
    gate: { role: "in", length: n },
    up: { role: "in", length: n },
  }),
  call: (kernels, at, n) => kernels.siluMulF32(at.out, at.gate, at.up, n),
});

testKernel({
  name: "siluMulBackwardF32 agrees with the derivatives",
  sizes: side(300),
  buffers: (n): Record<"dGate" | "dUp" | "dOut" | "gate" | "up", BufferSpec> => ({
    dGate: { role: "out", length: n },
    dUp: { role: "out", length: n },
    dOut: { role: "in", length: n },
    gate: { role: "in", length: n },
    up: { role: "in", length: n },
  }),
  call: (kernels, at, n) =>
    kernels.siluMulBackwardF32(at.dGate, at.dUp, at.dOut, at.gate, at.up, n),
  tolerance: (_, magnitude) => ({ relative: 1e-6, absolute: 10 * slopeError * magnitude ** 2 }),
});

/** Evenly spaced points: densely where the functions bend, and where drawn normals never come. */
const grids = fc.constantFrom(
  { n: 12_001, span: 6 },
  { n: 4001, span: 20 },
  { n: 4001, span: 100 },
);

function point(i: number, { n, span }: { n: number; span: number }): number {
  return (i / (n - 1) - 0.5) * 2 * span;
}

for (const name of forward) {
  testKernel({
    name: `${name} is accurate from -100 to 100`,
    sizes: grids,
    runs: 8,
    regimes: ["normal"],
    buffers: (grid): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", length: grid.n },
      inp: { role: "in", length: grid.n, fill: (_, i) => point(i, grid) },
    }),
    call: (kernels, at, { n }) => kernels[name](at.out, at.inp, n),
    tolerance: () => accuracy[name],
  });
}
for (const name of backward) {
  testKernel({
    name: `${name} is accurate from -100 to 100`,
    sizes: grids,
    runs: 8,
    regimes: ["normal"],
    buffers: (grid): Record<"dInp" | "dOut" | "inp", BufferSpec> => ({
      dInp: { role: "out", length: grid.n },
      dOut: { role: "in", length: grid.n, fill: () => 1 },
      inp: { role: "in", length: grid.n, fill: (_, i) => point(i, grid) },
    }),
    call: (kernels, at, { n }) => kernels[name](at.dInp, at.dOut, at.inp, n),
    tolerance: () => ({ relative: 3e-7, absolute: slopeError }),
  });
}
