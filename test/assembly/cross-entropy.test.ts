/** Cross entropy and its gradient against their twins. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

const ignoreIndex = -100;
const sizes = fc.record({ rows: side(12), cols: side(300) });

/** Classes, some ignored rows, and now and then a label that is no class. */
function labelsSpec(rows: number, cols: number): BufferSpec {
  return {
    role: "in",
    type: "i32",
    length: rows,
    fill: (rng) => {
      const kind = rng.int(10);
      if (kind === 0) return ignoreIndex;
      return kind === 1 ? rng.pick([-1, cols, 2 ** 31 - 1]) : rng.int(Math.max(cols, 1));
    },
  };
}

testKernel({
  name: "crossEntropyF32 agrees with its twin, ignored and impossible labels included",
  sizes,
  buffers: ({ rows, cols }): Record<"losses" | "sums" | "logits" | "labels", BufferSpec> => ({
    losses: { role: "out", length: rows },
    sums: { role: "out", length: rows },
    logits: { role: "in", length: rows * cols },
    labels: labelsSpec(rows, cols),
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyF32(at.losses, at.sums, at.logits, at.labels, rows, cols, ignoreIndex),
  // The sum of exponentials is at least 1 and known to 1e-6, so its logarithm to 1e-6 absolute.
  tolerance: () => ({ relative: 2e-7, absolute: 1e-6 }),
});

testKernel({
  name: "crossEntropyF32 keeps the digits of a small loss among large logits",
  sizes: fc.constant({ rows: 4, cols: 20 }),
  runs: 1,
  regimes: ["normal"],
  buffers: ({ rows, cols }): Record<"losses" | "sums" | "logits" | "labels", BufferSpec> => ({
    losses: { role: "out", length: rows },
    sums: { role: "out", length: rows },
    logits: { role: "in", length: rows * cols, fill: (_, i) => (i % cols === 3 ? 1008 : 1000) },
    labels: { role: "in", type: "i32", length: rows, fill: () => 3 },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyF32(at.losses, at.sums, at.logits, at.labels, rows, cols, ignoreIndex),
  // ln(1 + 19 e^-8) = 0.0064 from a sum in f32 next to 1.
  tolerance: () => ({ relative: 1e-7, absolute: 2.4e-7 }),
});

testKernel({
  name: "crossEntropyBackwardF32 agrees with its twin, in place too",
  sizes,
  buffers: ({ rows, cols }): Record<"logits" | "sums" | "labels", BufferSpec> => ({
    logits: { role: "inout", length: rows * cols },
    sums: { role: "in", length: rows, fill: (rng) => 1 + rng.int(9) + rng.next() },
    labels: labelsSpec(rows, cols),
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyBackwardF32(
      ...([at.logits, at.sums, at.logits, at.labels, rows, cols, ignoreIndex, 0.125] as const),
    ),
  tolerance: () => ({ relative: 2e-6, absolute: 1e-7 }),
});

testKernel({
  name: "crossEntropyBackwardF32 keeps the digits of the gradient of a small loss among large logits",
  sizes: fc.constant({ rows: 4, cols: 20 }),
  runs: 1,
  regimes: ["normal"],
  buffers: ({ rows, cols }): Record<"out" | "sums" | "logits" | "labels", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    sums: { role: "in", length: rows, fill: () => 1 + 19 * Math.exp(-20) },
    logits: { role: "in", length: rows * cols, fill: (_, i) => (i % cols === 3 ? 1020 : 1000) },
    labels: { role: "in", type: "i32", length: rows, fill: () => 3 },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyBackwardF32(
      ...([at.out, at.sums, at.logits, at.labels, rows, cols, ignoreIndex, 0.125] as const),
    ),
  // softmax - 1 of the label would be 0 or 6e-8, where -4e-8 is right.
  tolerance: () => ({ relative: 1e-6 }),
});

testKernel({
  name: "crossEntropyInPlaceF32 agrees with its twin, ignored and impossible labels included",
  sizes,
  buffers: ({ rows, cols }): Record<"losses" | "logits" | "labels", BufferSpec> => ({
    losses: { role: "out", length: rows },
    logits: { role: "inout", length: rows * cols },
    labels: labelsSpec(rows, cols),
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyInPlaceF32(
      ...([at.losses, at.logits, at.labels, rows, cols, ignoreIndex, 0.125] as const),
    ),
  tolerance: () => ({ relative: 2e-6, absolute: 1e-6 }),
});

testKernel({
  name: "crossEntropyInPlaceF32 keeps the digits of a small loss and its gradient among large logits",
  sizes: fc.constant({ rows: 4, cols: 21 }),
  runs: 1,
  regimes: ["normal"],
  buffers: ({ rows, cols }): Record<"losses" | "logits" | "labels", BufferSpec> => ({
    losses: { role: "out", length: rows },
    logits: { role: "inout", length: rows * cols, fill: (_, i) => (i % cols === 20 ? 1020 : 1000) },
    labels: { role: "in", type: "i32", length: rows, fill: () => 20 },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.crossEntropyInPlaceF32(
      ...([at.losses, at.logits, at.labels, rows, cols, ignoreIndex, 0.125] as const),
    ),
  // The gradients are 2.6e-10 and 20 times that; the loss is 4.1e-8, less than f32 knows beside a sum of 1.
  tolerance: () => ({ relative: 1e-6, absolute: 4.2e-8 }),
});
