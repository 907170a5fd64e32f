/** Cross entropy and its gradient in f64. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, integers } from "./views.ts";

/** Twins of assembly/cross-entropy.ts over `memory`, with the same arguments. */
export function createCrossEntropyTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"crossEntropyF32" | "crossEntropyBackwardF32" | "crossEntropyInPlaceF32"> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    crossEntropyF32: (losses, sums, logits, labels, rows, cols, ignoreIndex) => {
      integers(memory, labels, rows).forEach((label, r) => {
        const x = view(logits + 4 * r * cols, cols);
        const top = largest(x);
        const sum = x.reduce((total, value) => total + Math.exp(value - top), 0);
        const ignored = label === ignoreIndex;
        view(losses, rows)[r] = ignored ? 0 : top - (x[label] ?? NaN) + Math.log(sum);
        view(sums, rows)[r] = ignored ? 0 : sum;
      });
    },
    crossEntropyBackwardF32: (dLogits, sums, logits, labels, rows, cols, ignoreIndex, scale) => {
      integers(memory, labels, rows).forEach((label, r) => {
        const x = view(logits + 4 * r * cols, cols);
        const top = largest(x);
        const isClass = label >= 0 && label < cols;
        const factor = isClass ? Math.fround(scale) / at(view(sums, rows), r) : NaN;
        const shares = Array.from(x, (value) => Math.exp(value - top) * factor);
        const others = shares.reduce((total, share, c) => (c === label ? total : total + share), 0);
        view(dLogits + 4 * r * cols, cols).set(
          shares.map((share, c) => {
            if (label === ignoreIndex) return 0;
            return c === label ? -others : share;
          }),
        );
      });
    },
    crossEntropyInPlaceF32: (losses, logits, labels, rows, cols, ignoreIndex, scale) => {
      integers(memory, labels, rows).forEach((label, r) => {
        const x = view(logits + 4 * r * cols, cols);
        const top = largest(x);
        const shares = Float64Array.from(x, (value) => Math.exp(value - top));
        const others = shares.reduce((total, share, c) => (c === label ? total : total + share), 0);
        const isClass = label >= 0 && label < cols;
        const sum = isClass ? others + at(shares, label) : NaN;
        const loss = top - (x[label] ?? NaN) + Math.log(sum);
        view(losses, rows)[r] = label === ignoreIndex ? 0 : loss;
        x.forEach((_, c) => {
          const gradient = (Math.fround(scale) * (c === label ? -others : at(shares, c))) / sum;
          x[c] = label === ignoreIndex ? 0 : gradient;
        });
      });
    },
  };
}

function largest(values: Float32Array): number {
  return values.reduce((best, value) => (value > best ? value : best), -Infinity);
}
