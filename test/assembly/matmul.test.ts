/** The matrix products against their twins, their bits against a constant, and row by row. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec, type Tolerance } from "../support/kernel-suite.ts";

interface Sizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** How much wider than its columns each of a, b and out is. */
  readonly padding: readonly [number, number, number];
  readonly alpha: number;
  readonly accumulate: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  M: side(70),
  N: side(70),
  K: side(300),
  padding: fc.tuple(side(9), side(9), side(9)),
  alpha: fc.constantFrom(1, 1, -0.5, 0.3, 0),
  accumulate: fc.constantFrom(0, 1),
});

const forms = {
  Nn: { a: ["M", "K"], b: ["K", "N"] },
  Nt: { a: ["M", "K"], b: ["N", "K"] },
  Tn: { a: ["K", "M"], b: ["K", "N"] },
} as const;

/** Elements from the first to the last of a strided matrix, without the last row's padding. */
function extent(rows: number, columns: number, stride: number): number {
  return rows === 0 ? 0 : (rows - 1) * stride + columns;
}

function tolerance({ K }: Sizes, magnitude: number): Tolerance {
  return { relative: 1e-6, absolute: 4e-7 * Math.sqrt(K) * magnitude ** 2 * 4 };
}

for (const [form, { a, b }] of Object.entries(forms)) {
  const name = `matmul${form as keyof typeof forms}F32` as const;
  testKernel({
    name: `${name} agrees with its twin for any sizes, strides, alpha and accumulate`,
    sizes,
    runs: 300,
    buffers: (sizes, kernels): Record<"a" | "b" | "out" | "scratch", BufferSpec> => ({
      a: { role: "in", length: extent(sizes[a[0]], sizes[a[1]], sizes[a[1]] + sizes.padding[0]) },
      b: { role: "in", length: extent(sizes[b[0]], sizes[b[1]], sizes[b[1]] + sizes.padding[1]) },
      out: {
        role: sizes.accumulate === 0 ? "out" : "inout",
        length: extent(sizes.M, sizes.N, sizes.N + sizes.padding[2]),
      },
      scratch: {
        role: "scratch",
        length: kernels.matmulScratchBytes(sizes.M, sizes.N, sizes.K) / 4,
      },
    }),
    call: (kernels, at, sizes) => {
      const { M, N, K, padding, alpha, accumulate } = sizes;
      const lda = sizes[a[1]] + padding[0];
      const ldb = sizes[b[1]] + padding[1];
      const ldc = N + padding[2];
      kernels[name](at.out, at.a, at.b, at.scratch, M, N, K, lda, ldb, ldc, alpha, accumulate);
    },
    tolerance,
  });
}
