/** Twins of the matrix products: plain loops over float64 sums. */
import type { KernelSubset } from "../kernels.ts";

type MatmulName =
  | "affineF32"
  | "matmulScratchBytes"
  | "matmulNnF32"
  | "matmulNtF32"
  | "matmulTnF32"
  | "useWideTiles";

/** Element strides of one operand: along the output's own dimension, and along K. */
interface Strides {
  readonly outer: number;
  readonly inner: number;
}

/** Twins of assembly/matmul.ts; they need no scratch and have no tiles. */
export function createMatmulTwins(memory: WebAssembly.Memory): KernelSubset<MatmulName> {
  function product(
    ...[out, a, b, , M, N, K, , , ldc, alpha, accumulate]: Parameters<
      KernelSubset<MatmulName>["matmulNnF32"]
    >
  ): (aStrides: Strides, bStrides: Strides) => void {
    return (aStrides, bStrides) => {
      const view = new DataView(memory.buffer);
      const scale = Math.fround(alpha);
      for (let m = 0; m < M; m++) {
        for (let n = 0; n < N; n++) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            const left = view.getFloat32(a + 4 * (m * aStrides.outer + k * aStrides.inner), true);
            const right = view.getFloat32(b + 4 * (n * bStrides.outer + k * bStrides.inner), true);
            sum += left * right;
          }
          const target = out + 4 * (m * ldc + n);
          const before = accumulate === 0 ? 0 : view.getFloat32(target, true);
          view.setFloat32(target, before + scale * sum, true);
        }
      }
    };
  }
  return {
    matmulScratchBytes: () => 0,
    useWideTiles: () => undefined,
    affineF32: (out, a, b, bias, scratch, M, N, K, lda, ldb, ldc) => {
      const row = new Float32Array(memory.buffer, bias, N);
      for (let m = 0; m < M; m++) new Float32Array(memory.buffer, out + 4 * m * ldc, N).set(row);
      const run = product(out, a, b, scratch, M, N, K, lda, ldb, ldc, 1, 1);
      run({ outer: lda, inner: 1 }, { outer: ldb, inner: 1 });
    },
    matmulNnF32: (...args) =>
      product(...args)({ outer: args[7], inner: 1 }, { outer: 1, inner: args[8] }),
    matmulNtF32: (...args) =>
      product(...args)({ outer: args[7], inner: 1 }, { outer: args[8], inner: 1 }),
    matmulTnF32: (...args) =>
      product(...args)({ outer: 1, inner: args[7] }, { outer: 1, inner: args[8] }),
  };
}
