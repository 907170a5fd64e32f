/** Twins of the products with int8, f16 and int4 weights: plain loops over rows made into numbers. */
import type { KernelSubset } from "../kernels.ts";
import { decodeHalf } from "./convert.ts";
import { int4Row, quantiseRow, rowScale } from "./quantise.ts";
import { at, floats } from "./views.ts";

type StoredProductName =
  | "int8DotOffset"
  | "int8ScratchBytes"
  | "matmulNtInt8"
  | "matmulNnInt8"
  | "widenedScratchBytes"
  | "matmulNtF16"
  | "matmulNnF16"
  | "matmulNtInt4"
  | "matmulNnInt4";

type ScaledArguments = Parameters<KernelSubset<StoredProductName>["matmulNtInt8"]>;

/** Steps of k in one integer sum. */
const integerDepth = 1024;

/** Twins of assembly/int8-product.ts and assembly/stored-product.ts; they need no scratch. */
export function createStoredProductTwins(
  memory: WebAssembly.Memory,
): KernelSubset<StoredProductName> {
  /** Row r of a weight of `cols` columns. */
  type RowOf = (r: number, cols: number) => Float32Array;

  function multiply(
    [out, a, , , , M, N, K, lda, ldc, alpha, accumulate]: ScaledArguments,
    weight: (k: number, n: number) => number,
  ): void {
    for (let m = 0; m < M; m++) {
      const from = floats(memory, a + 4 * m * lda, K);
      const to = floats(memory, out + 4 * m * ldc, N);
      for (let n = 0; n < N; n++) {
        const sum = from.reduce((total, x, k) => total + x * weight(k, n), 0);
        to[n] = (accumulate === 0 ? 0 : at(to, n)) + Math.fround(alpha) * sum;
      }
    }
  }

  function timesOutputs(args: ScaledArguments, rowOf: RowOf): void {
    const [N, K] = [args[6], args[7]];
    const rows = Array.from({ length: N }, (_, n) => rowOf(n, K));
    multiply(args, (k, n) => at(rows[n] as Float32Array, k));
  }

  function timesInputs(args: ScaledArguments, rowOf: RowOf): void {
    const [N, K] = [args[6], args[7]];
    const rows = Array.from({ length: K }, (_, k) => rowOf(k, N));
    multiply(args, (k, n) => at(rows[k] as Float32Array, n));
  }

  const halfRow =
    (values: number): RowOf =>
    (r, cols) =>
      Float32Array.from(new Uint16Array(memory.buffer, values + 2 * r * cols, cols), decodeHalf);

  /** The integers themselves: bit for bit what the kernels give. */
  function timesIntegers(args: ScaledArguments, isTransposed: boolean): void {
    const [out, a, values, scales, , M, N, K, lda, ldc, alpha, accumulate] = args;
    const bytes = new Int8Array(memory.buffer, values, N * K);
    const weight = (k: number, n: number): number =>
      bytes[isTransposed ? n * K + k : k * N + n] as number;
    const factors = new DataView(memory.buffer, scales);
    const factor = (i: number): number => factors.getFloat32(4 * i, true);
    for (let m = 0; m < M; m++) {
      const row = floats(memory, a + 4 * m * lda, K).map((x, k) =>
        isTransposed ? x : x * factor(k),
      );
      const scale = rowScale(row);
      const integers = quantiseRow(row, scale);
      const to = floats(memory, out + 4 * m * ldc, N);
      if (accumulate === 0) to.fill(0);
      for (let n = 0; n < N; n++) {
        for (let first = 0; first < K; first += integerDepth) {
          let sum = 0;
          for (let k = first; k < Math.min(K, first + integerDepth); k++) {
            sum += (integers[k] as number) * weight(k, n);
          }
          const scaled = Math.fround(
            Math.fround(sum) * Math.fround(Math.fround(alpha) * scale.scale),
          );
          to[n] = at(to, n) + (isTransposed ? Math.fround(scaled * factor(n)) : scaled);
        }
      }
    }
  }

  const withoutScales = (
    ...[out, a, values, scratch, ...rest]: Parameters<
      KernelSubset<StoredProductName>["matmulNtF16"]
    >
  ): ScaledArguments => [out, a, values, 0, scratch, ...rest];

  return {
    int8DotOffset: () => -1,
    int8ScratchBytes: () => 0,
    matmulNtInt8: (...args) => timesIntegers(args, true),
    matmulNnInt8: (...args) => timesIntegers(args, false),
    widenedScratchBytes: () => 0,
    matmulNtF16: (...args) => timesOutputs(withoutScales(...args), halfRow(args[2])),
    matmulNnF16: (...args) => timesInputs(withoutScales(...args), halfRow(args[2])),
    matmulNtInt4: (...args) =>
      timesOutputs(args, (r, cols) => int4Row(memory, args[2], args[3], r, cols)),
    matmulNnInt4: (...args) =>
      timesInputs(args, (r, cols) => int4Row(memory, args[2], args[3], r, cols)),
  };
}
