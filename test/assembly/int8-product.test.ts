/** The int8 products: the same bits as their twins in every module, and close to the product in f32. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { LoadedKernels } from "../../src/backend/wasm.ts";
import { Rng } from "../../src/base/rng.ts";
import { runnableVariants, side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

interface Sizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** How much wider than its columns each of a and out is. */
  readonly padding: readonly [number, number];
  readonly alpha: number;
  readonly accumulate: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  M: side(30),
  N: side(40),
  K: side(200),
  padding: fc.tuple(side(9), side(9)),
  alpha: fc.constantFrom(1, -0.5, 0.3, 0),
  accumulate: fc.constantFrom(0, 1),
});

/** Deeper than one integer sum, more rows than one block, and odd in every way. */
const examples: Sizes[] = [
  { M: 7, N: 11, K: 2051, padding: [0, 0], alpha: 1, accumulate: 1 },
  { M: 491, N: 9, K: 37, padding: [3, 5], alpha: 0.3, accumulate: 0 },
  { M: 1, N: 13, K: 1041, padding: [0, 0], alpha: 1, accumulate: 1 },
];

/** Elements from the first to the last of a strided matrix, without the last row's padding. */
function extent(rows: number, columns: number, stride: number): number {
  return rows === 0 ? 0 : (rows - 1) * stride + columns;
}

/** Two bytes of -127 to 127, the ends often: where a product of fewer bits would saturate. */
function twoBytes(rng: Rng): number {
  const byte = (): number => (rng.int(3) === 0 ? rng.pick([129, 127]) : 129 + rng.int(255)) & 255;
  return byte() | (byte() << 8);
}

for (const form of ["Nt", "Nn"] as const) {
  const name = `matmul${form}Int8` as const;
  testKernel({
    name: `${name} has the bits of its twin for any sizes, strides, alpha and accumulate`,
    sizes,
    examples,
    runs: 300,
    buffers: (
      { M, N, K, padding, accumulate },
      kernels,
    ): Record<"a" | "values" | "scales" | "out" | "scratch", BufferSpec> => ({
      a: { role: "in", length: extent(M, K, K + padding[0]) },
      values: { role: "in", type: "u16", length: Math.ceil((N * K) / 2), fill: twoBytes },
      scales: {
        role: "in",
        length: form === "Nt" ? N : K,
        fill: (rng) => (0.5 + rng.next()) / 2048,
      },
      out: { role: accumulate === 0 ? "out" : "inout", length: extent(M, N, N + padding[1]) },
      scratch: { role: "scratch", length: Math.ceil(kernels.int8ScratchBytes(M, K) / 4) },
    }),
    call: (kernels, at, { M, N, K, padding, alpha, accumulate }) => {
      const [lda, ldc] = [K + padding[0], N + padding[1]];
      const { out, a, values, scales, scratch } = at;
      kernels[name](out, a, values, scales, scratch, M, N, K, lda, ldc, alpha, accumulate);
    },
    tolerance: () => ({}),
  });
}

/** A quantised weight [N, K] and rows a [M, K] in the memory of a kernel set. */
function layWeight({ kernels, memory }: LoadedKernels, M: number, N: number, K: number) {
  let top = Math.ceil(kernels.heapBase() / 64) * 64;
  const take = (bytes: number): number => {
    const address = top;
    top += Math.ceil(bytes / 64) * 64;
    return address;
  };
  const [a, w, out] = [take(4 * M * K), take(4 * N * K), take(4 * M * N)];
  const [values, scales] = [take(N * K), take(4 * N)];
  const scratch = take(kernels.int8ScratchBytes(M, K));
  const missing = top - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  const rng = Rng.fromSeed("int8");
  const floats = (address: number, length: number): Float32Array =>
    new Float32Array(memory.buffer, address, length);
  floats(a, M * K).forEach((_, i, view) => (view[i] = rng.normal()));
  floats(w, N * K).forEach((_, i, view) => (view[i] = 0.05 * rng.normal()));
  kernels.quantiseRowsInt8(values, scales, w, N, K);
  return { a, w, out, values, scales, scratch, floats };
}

test("the int8 product of normal numbers is within one percent of the f32 product's spread", () => {
  const [M, N, K] = [9, 33, 400];
  for (const set of runnableVariants()) {
    const { a, w, out, values, scales, scratch, floats } = layWeight(set, M, N, K);
    set.kernels.matmulNtInt8(out, a, values, scales, scratch, M, N, K, K, N, 1, 0);
    const [rows, weight, got] = [floats(a, M * K), floats(w, N * K), floats(out, M * N)];
    let [error, size] = [0, 0];
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let want = 0;
        for (let k = 0; k < K; k++) want += rows[m * K + k]! * weight[n * K + k]!;
        error += (got[m * N + n]! - want) ** 2;
        size += want ** 2;
      }
    }
    const relative = Math.sqrt(error / size);
    assert.ok(relative > 0.001 && relative < 0.015, `${set.variant}: ${relative}`);
  }
});

test("a row of an int8 product has the same bits alone and among others", () => {
  const [M, N, K] = [23, 37, 1100];
  for (const set of runnableVariants()) {
    const { a, out, values, scales, scratch, floats } = layWeight(set, M, N, K);
    const { kernels } = set;
    kernels.matmulNtInt8(out, a, values, scales, scratch, M, N, K, K, N, 1, 0);
    const whole = floats(out, M * N).slice();
    for (const rows of [1, 2, 5]) {
      floats(out, M * N).fill(NaN);
      for (let m = 0; m < M; m += rows) {
        const [to, from] = [out + 4 * m * N, a + 4 * m * K];
        const count = Math.min(rows, M - m);
        kernels.matmulNtInt8(to, from, values, scales, scratch, count, N, K, K, N, 1, 0);
      }
      assert.deepEqual(floats(out, M * N), whole, `${set.variant}, ${rows} rows at a time`);
    }
  }
});

test("a row that is not finite gives NaN throughout and leaves its neighbours alone", () => {
  const [M, N, K] = [5, 10, 70];
  for (const set of runnableVariants()) {
    const { a, out, values, scales, scratch, floats } = layWeight(set, M, N, K);
    for (const value of [NaN, Infinity, -Infinity]) {
      floats(a, M * K)[2 * K + 69] = value;
      set.kernels.matmulNtInt8(out, a, values, scales, scratch, M, N, K, K, N, 1, 0);
      floats(out, M * N).forEach((y, i) => {
        assert.equal(Number.isNaN(y), Math.floor(i / N) === 2, `${set.variant}: out[${i}] is ${y}`);
      });
    }
  }
});
