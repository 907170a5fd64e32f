/** Softmax in f64, and the row function that the twin of attention shares. */
import type { KernelSubset } from "../kernels.ts";
import { floats, validLengths } from "./views.ts";

/** Softmax of a row of f64 numbers; a row with NaN or +inf is NaN throughout. */
export function softmaxOf(row: readonly number[]): number[] {
  const top = row.reduce((best, x) => (x > best ? x : best), -Infinity);
  const powers = row.map((x) => Math.exp(x - top));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map((x) => x / total);
}

/** Twins of assembly/softmax.ts over `memory`, with the same arguments. */
export function createSoftmaxTwins(memory: WebAssembly.Memory): KernelSubset<"softmaxF32"> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    softmaxF32: (out, inp, lengths, rows, cols) => {
      const counts = validLengths(memory, lengths, rows, cols);
      counts.forEach((count, r) => {
        const row = softmaxOf(Array.from(view(inp + 4 * r * cols, count)));
        view(out + 4 * r * cols, cols).fill(0);
        view(out + 4 * r * cols, count).set(row);
      });
    },
  };
}
