/** Activations and their derivatives against their definitions in f64. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

/** The fit of Phi is good to 2e-7 absolute and stands next to an x of up to 5.6. */
const geluError = 1e-6;
/** Rounding of x^2 in the exponent of a bell or sigmoid multiplies with its size, up to 100. */
const tailError = 2e-5;
/** Where e^x leaves the range of f32 the result becomes 0; it is below this by then. */
const underflow = 1e-35;
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
    tolerance: () => ({ relative: 1e-6, absolute: name === "geluF32" ? geluError : 0 }),
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

/** One point every 1/40 from -100 to 100, where the drawn normals never come. */
const gridPoints = 8001;
for (const name of forward) {
  testKernel({
    name: `${name} is accurate from -100 to 100`,
    sizes: fc.constant(gridPoints),
    runs: 1,
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", length: n },
      inp: { role: "in", length: n, fill: (_, i) => (i - (n - 1) / 2) / 40 },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: () => ({
      relative: tailError,
      absolute: name === "geluF32" ? geluError : underflow,
    }),
  });
}
for (const name of backward) {
  testKernel({
    name: `${name} is accurate from -100 to 100`,
    sizes: fc.constant(gridPoints),
    runs: 1,
    buffers: (n): Record<"dInp" | "dOut" | "inp", BufferSpec> => ({
      dInp: { role: "out", length: n },
      dOut: { role: "in", length: n, fill: () => 1 },
      inp: { role: "in", length: n, fill: (_, i) => (i - (n - 1) / 2) / 40 },
    }),
    call: (kernels, at, n) => kernels[name](at.dInp, at.dOut, at.inp, n),
    tolerance: () => ({ relative: 1e-6, absolute: slopeError }),
  });
}
