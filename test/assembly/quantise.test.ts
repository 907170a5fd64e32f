/** Weights to int8 and int4 and back: the bits of the twins, and how far a number may move. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadKernels } from "../../src/backend/wasm.ts";
import { Rng } from "../../src/base/rng.ts";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

interface Sizes {
  readonly rows: number;
  readonly cols: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({ rows: side(9), cols: side(140) });

const groupsOf = ({ rows, cols }: Sizes): number => rows * Math.ceil(cols / 32);
/** Two bytes in each; the last byte of an odd number belongs to nobody. */
const int8Bytes = ({ rows, cols }: Sizes): number => Math.ceil((rows * cols) / 2);

testKernel({
  name: "quantiseRowsInt8 has the bits of its twin",
  // Of an odd number of bytes the last pair would compare one that nobody writes.
  sizes: sizes.filter(({ rows, cols }) => (rows * cols) % 2 === 0),
  buffers: (sizes): Record<"values" | "scales" | "inp", BufferSpec> => ({
    values: { role: "out", type: "u16", length: int8Bytes(sizes) },
    scales: { role: "out", length: sizes.rows },
    inp: { role: "in", length: sizes.rows * sizes.cols },
  }),
  call: (kernels, { values, scales, inp }, { rows, cols }) =>
    kernels.quantiseRowsInt8(values, scales, inp, rows, cols),
  tolerance: () => ({}),
  // What the integers of a row with NaN are is nobody's business; its scale makes all of it NaN.
  regimes: ["normal", "large", "tiny"],
});

testKernel({
  name: "dequantiseRowsInt8 has the bits of its twin",
  sizes,
  buffers: (sizes): Record<"values" | "scales" | "out", BufferSpec> => ({
    values: { role: "in", type: "u16", length: int8Bytes(sizes) },
    scales: { role: "in", length: sizes.rows },
    out: { role: "out", length: sizes.rows * sizes.cols },
  }),
  call: (kernels, { values, scales, out }, { rows, cols }) =>
    kernels.dequantiseRowsInt8(out, values, scales, rows, cols),
  tolerance: () => ({}),
});

testKernel({
  name: "quantiseRowsInt4 has the bits of its twin",
  sizes,
  buffers: (sizes): Record<"values" | "scales" | "inp", BufferSpec> => ({
    values: { role: "out", type: "u16", length: 8 * groupsOf(sizes) },
    scales: { role: "out", type: "u16", length: groupsOf(sizes) },
    inp: { role: "in", length: sizes.rows * sizes.cols },
  }),
  call: (kernels, { values, scales, inp }, { rows, cols }) =>
    kernels.quantiseRowsInt4(values, scales, inp, rows, cols),
});

testKernel({
  name: "dequantiseRowsInt4 has the bits of its twin",
  sizes,
  buffers: (sizes): Record<"values" | "scales" | "out", BufferSpec> => ({
    values: { role: "in", type: "u16", length: 8 * groupsOf(sizes) },
    scales: { role: "in", type: "u16", length: groupsOf(sizes) },
    out: { role: "out", length: sizes.rows * sizes.cols },
  }),
  call: (kernels, { values, scales, out }, { rows, cols }) =>
    kernels.dequantiseRowsInt4(out, values, scales, rows, cols),
  tolerance: () => ({}),
});

/** Quantises and dequantises [rows, cols] normals, one in a hundred ten times as large. */
function roundTrip(dtype: "int8" | "int4", { rows, cols }: Sizes) {
  const { kernels, memory } = loadKernels();
  const start = Math.ceil(kernels.heapBase() / 64) * 64;
  const [inp, out] = [start, start + 4 * rows * cols];
  const values = out + 4 * rows * cols;
  const scales = values + 4 * rows * cols;
  assert.ok(scales + 4 * rows * cols <= memory.buffer.byteLength);
  const rng = Rng.fromSeed(dtype);
  const before = new Float32Array(memory.buffer, inp, rows * cols);
  before.forEach((_, i) => (before[i] = rng.normal() * (rng.int(100) === 0 ? 10 : 1)));
  const [encode, decode] =
    dtype === "int8"
      ? [kernels.quantiseRowsInt8, kernels.dequantiseRowsInt8]
      : [kernels.quantiseRowsInt4, kernels.dequantiseRowsInt4];
  encode(values, scales, inp, rows, cols);
  decode(out, values, scales, rows, cols);
  return { before, after: new Float32Array(memory.buffer, out, rows * cols) };
}

test("in int8 no number moves by more than half a step of its row", () => {
  const sizes = { rows: 20, cols: 150 };
  const { before, after } = roundTrip("int8", sizes);
  for (let r = 0; r < sizes.rows; r++) {
    const row = before.subarray(r * sizes.cols, (r + 1) * sizes.cols);
    const step = Math.max(...row.map(Math.abs)) / 127;
    row.forEach((x, c) => {
      const error = Math.abs(x - (after[r * sizes.cols + c] as number));
      assert.ok(error <= 0.5001 * step, `row ${r}, column ${c}: ${error} of ${step}`);
    });
  }
});

test("in int4 no number moves by more than a step of its group, and most by half a step", () => {
  const { before, after } = roundTrip("int4", { rows: 20, cols: 160 });
  let close = 0;
  before.forEach((x, i) => {
    const group = before.subarray(i - (i % 32), i - (i % 32) + 32);
    const step = Math.max(...group.map(Math.abs)) / 8;
    const error = Math.abs(x - (after[i] as number));
    assert.ok(error <= 1.01 * step, `${i}: ${error} of ${step}`);
    if (error <= 0.51 * step) close++;
  });
  assert.ok(close > 0.95 * before.length);
});
