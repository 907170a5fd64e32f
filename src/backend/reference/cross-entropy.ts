/** Cross entropy and its gradient in f64. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, integers } from "./views.ts";

/** Twins of assembly/cross-entropy.ts over `memory`, with the same arguments. */
export function createCrossEntropyTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"crossEntropyF32" | "crossEntropyBackwardF32"> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    crossEntropyF32: (losses, lse, logits, labels, rows, cols, ignoreIndex) => {
      integers(memory, labels, rows).forEach((label, r) => {
        const x = view(logits + 4 * r * cols, cols);
        const top = x.reduce((best, value) => (value > best ? value : best), -Infinity);
        const rest = Math.log(x.reduce((sum, value) => sum + Math.exp(value - top), 0));
        const ignored = label === ignoreIndex;
        view(losses, rows)[r] = ignored ? 0 : top - (x[label] ?? NaN) + rest;
        view(lse, rows)[r] = ignored ? 0 : top + rest;
      });
    },
    crossEntropyBackwardF32: (dLogits, lse, logits, labels, rows, cols, ignoreIndex, scale) => {
      integers(memory, labels, rows).forEach((label, r) => {
        const total = at(view(lse, rows), r);
        const x = view(logits + 4 * r * cols, cols);
        const factor = label >= 0 && label < cols ? Math.fround(scale) : NaN;
        view(dLogits + 4 * r * cols, cols).set(
          x.map((value, c) => {
            if (label === ignoreIndex) return 0;
            return (Math.exp(value - total) - (c === label ? 1 : 0)) * factor;
          }),
        );
      });
    },
  };
}
