/** Products with f16 and int4 weights against their twins, and against f32 products of the same numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import {
  runnableVariants,
  side,
  testKernel,
  type BufferSpec,
  type Tolerance,
} from "../support/kernel-suite.ts";

interface Sizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly alpha: number;
  readonly accumulate: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  M: side(20),
  N: side(150),
  K: side(150),
  alpha: fc.constantFrom(1, -0.5, 0),
  accumulate: fc.constantFrom(0, 1),
});

/** More columns and more depth than one block of a weight, and one row of each. */
const examples: Sizes[] = [
  { M: 3, N: 70, K: 1100, alpha: 1, accumulate: 1 },
  { M: 1, N: 19, K: 1050, alpha: 1, accumulate: 0 },
];

const tolerance = ({ K }: Sizes, magnitude: number): Tolerance => ({
  relative: 2e-6,
  absolute: 2e-6 * Math.sqrt(K) * magnitude,
});

/** Binary16 numbers of magnitudes up to 1. */
const small = (rng: Rng): number => rng.int(0x3c00) + 0x8000 * rng.int(2);
/** Around 0.1. */
const scale = (rng: Rng): number => 0x2c00 + rng.int(0x400);

for (const form of ["Nt", "Nn"] as const) {
  const shared = ({ M, N, K, accumulate }: Sizes, scratchBytes: number) =>
    ({
      a: { role: "in", length: M * K },
      out: { role: accumulate === 0 ? "out" : "inout", length: M * N },
      scratch: { role: "scratch", length: Math.ceil(scratchBytes / 4) },
    }) satisfies Record<string, BufferSpec>;

  testKernel({
    name: `matmul${form}F16 agrees with its twin for any sizes`,
    sizes,
    examples,
    buffers: (sizes, kernels): Record<"a" | "values" | "out" | "scratch", BufferSpec> => ({
      ...shared(sizes, kernels.widenedScratchBytes(sizes.M, sizes.N, sizes.K)),
      values: { role: "in", type: "u16", length: sizes.N * sizes.K, fill: small },
    }),
    call: (kernels, { out, a, values, scratch }, { M, N, K, alpha, accumulate }) =>
      kernels[`matmul${form}F16`](out, a, values, scratch, M, N, K, K, N, alpha, accumulate),
    tolerance,
  });

  testKernel({
    name: `matmul${form}Int4 agrees with its twin for any sizes`,
    sizes,
    examples,
    buffers: (
      sizes,
      kernels,
    ): Record<"a" | "values" | "scales" | "out" | "scratch", BufferSpec> => {
      const [rows, cols] = form === "Nt" ? [sizes.N, sizes.K] : [sizes.K, sizes.N];
      const groups = rows * Math.ceil(cols / 32);
      return {
        ...shared(sizes, kernels.widenedScratchBytes(sizes.M, sizes.N, sizes.K)),
        values: { role: "in", type: "u16", length: 8 * groups },
        scales: { role: "in", type: "u16", length: groups, fill: scale },
      };
    },
    call: (kernels, { out, a, values, scales, scratch }, { M, N, K, alpha, accumulate }) => {
      const product = kernels[`matmul${form}Int4`];
      product(out, a, values, scales, scratch, M, N, K, K, N, alpha, accumulate);
    },
    tolerance,
  });
}

test("a product with an f16 weight has the bits of the f32 product with the same numbers", () => {
  for (const { kernels, memory, variant } of runnableVariants()) {
    for (const form of ["Nt", "Nn"] as const) {
      for (const [M, N, K] of [
        [17, 130, 1100],
        [1, 40, 300],
      ] as const) {
        let top = Math.ceil(kernels.heapBase() / 64) * 64;
        const take = (bytes: number): number => (top += Math.ceil(bytes / 64) * 64) - bytes;
        const [a, halves, wide] = [take(64 * M * K), take(64 * N * K), take(64 * N * K)];
        const [out, want] = [take(64 * M * N), take(64 * M * N)];
        const room = Math.max(
          kernels.widenedScratchBytes(M, N, K),
          kernels.matmulScratchBytes(M, N, K),
        );
        const scratch = take(Math.ceil(room / 64) * 64);
        const missing = top - memory.buffer.byteLength;
        if (missing > 0) memory.grow(Math.ceil(missing / 65536));
        const rng = Rng.fromSeed(form);
        const floats = (address: number, length: number): Float32Array =>
          new Float32Array(memory.buffer, address, length);
        floats(a, M * K).forEach((_, i, view) => (view[i] = rng.normal()));
        new Uint16Array(memory.buffer, halves, N * K).forEach((_, i, view) => (view[i] = small(rng)));
        kernels.f16ToF32(wide, halves, N * K);
        kernels[`matmul${form}F16`](out, a, halves, scratch, M, N, K, K, N, 1, 0);
        const stride = form === "Nt" ? K : N;
        kernels[`matmul${form}F32`](want, a, wide, scratch, M, N, K, K, stride, N, 1, 0);
        const place = `${variant} ${form} ${M} x ${N} x ${K}`;
        assert.deepEqual(floats(out, M * N), floats(want, M * N), place);
      }
    }
  }
});
