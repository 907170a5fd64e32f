/** Gathering table rows and scattering their gradient back. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

const vocabulary = 11;
const sizes = fc.record({ rows: side(30), cols: side(70) });

testKernel({
  name: "gatherRowsF32 copies the rows that the ids name",
  sizes,
  buffers: ({ rows, cols }): Record<"out" | "table" | "ids", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    table: { role: "in", length: vocabulary * cols },
    ids: { role: "in", type: "i32", length: rows, fill: (rng) => rng.int(vocabulary) },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.gatherRowsF32(at.out, at.table, at.ids, rows, cols),
  tolerance: () => ({ relative: 0 }),
});

testKernel({
  name: "scatterAddRowsF32 adds up the rows of an id that occurs many times",
  sizes,
  buffers: ({ rows, cols }): Record<"dTable" | "dOut" | "ids", BufferSpec> => ({
    dTable: { role: "inout", length: vocabulary * cols },
    dOut: { role: "in", length: rows * cols },
    ids: { role: "in", type: "i32", length: rows, fill: (rng) => rng.int(vocabulary) },
  }),
  call: (kernels, at, { rows, cols }) =>
    kernels.scatterAddRowsF32(at.dTable, at.dOut, at.ids, rows, cols),
  // Kernel and twin both round every single addition to f32, in the same order.
  tolerance: () => ({ relative: 0 }),
});
