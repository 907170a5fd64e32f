/** Reductions against f64 sums, and their order against the address. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import { runnableVariants, side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

/** Kernel and twin both add in f64, in different orders; a result may cancel to nothing. */
const wideError = 1e-14;
const roundToFloat = 6e-8;

testKernel({
  name: "sumF32 is the f64 sum, rounded once",
  sizes: side(300),
  buffers: (n): Record<"inp", BufferSpec> => ({ inp: { role: "in", length: n } }),
  call: (kernels, at, n) => kernels.sumF32(at.inp, n),
  tolerance: (n, magnitude) => ({ relative: roundToFloat, absolute: wideError * n * magnitude }),
});

testKernel({
  name: "sumSquaresF32 is the f64 sum of exact squares",
  sizes: side(300),
  buffers: (n): Record<"inp", BufferSpec> => ({ inp: { role: "in", length: n } }),
  call: (kernels, at, n) => kernels.sumSquaresF32(at.inp, n),
  tolerance: () => ({ relative: 1e-13 }),
});

testKernel({
  name: "dotF32 is the f64 sum of exact products, rounded once",
  sizes: side(300),
  buffers: (n): Record<"a" | "b", BufferSpec> => ({
    a: { role: "in", length: n },
    b: { role: "in", length: n },
  }),
  call: (kernels, at, n) => kernels.dotF32(at.a, at.b, n),
  tolerance: (n, magnitude) => ({
    relative: roundToFloat,
    absolute: wideError * n * magnitude ** 2,
  }),
});

testKernel({
  name: "sumRowsF32 adds the columns to what is there",
  sizes: fc.record({ rows: side(40), cols: side(70) }),
  buffers: ({ rows, cols }): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "inout", length: cols },
    inp: { role: "in", length: rows * cols },
  }),
  call: (kernels, at, { rows, cols }) => kernels.sumRowsF32(at.out, at.inp, rows, cols),
  // Up to 40 terms in f32.
  tolerance: (_, magnitude) => ({ relative: 1e-6, absolute: 4e-6 * magnitude }),
});

testKernel({
  name: "countNonFiniteF32 counts NaN and both infinities",
  sizes: side(300),
  regimes: ["special", "normal"],
  buffers: (n): Record<"inp", BufferSpec> => ({ inp: { role: "in", length: n } }),
  call: (kernels, at, n) => kernels.countNonFiniteF32(at.inp, n),
  tolerance: () => ({ relative: 0 }),
});

test("a sum has the same bits at every address", () => {
  const n = 1003;
  const rng = Rng.fromSeed("addresses");
  const values = Float32Array.from({ length: n }, () => rng.normal());
  for (const { kernels, memory } of runnableVariants()) {
    const base = Math.ceil(kernels.heapBase() / 64) * 64;
    const results = Array.from({ length: 9 }, (_, shift) => {
      const at = base + 4 * shift;
      new Float32Array(memory.buffer, at, n).set(values);
      return [kernels.sumF32(at, n), kernels.sumSquaresF32(at, n)];
    });
    const sums = results.map(([sum, squares]) => `${sum} ${squares}`);
    assert.equal(new Set(sums).size, 1);
  }
});
