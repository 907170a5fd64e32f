/** Elementwise arithmetic, one element at a time. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

type ElementwiseName =
  "fillF32" | "copyF32" | "addF32" | "mulF32" | "scaleF32" | "axpyF32" | "broadcastRowF32";

/** Twins of assembly/elementwise.ts over `memory`, with the same arguments. */
export function createElementwiseTwins(memory: WebAssembly.Memory): KernelSubset<ElementwiseName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    fillF32: (out, value, n) => void view(out, n).fill(value),
    copyF32: (out, inp, n) => view(out, n).set(view(inp, n)),
    addF32: (out, a, b, n) => {
      const right = view(b, n);
      view(out, n).set(view(a, n).map((x, i) => x + at(right, i)));
    },
    mulF32: (out, a, b, n) => {
      const right = view(b, n);
      view(out, n).set(view(a, n).map((x, i) => x * at(right, i)));
    },
    scaleF32: (out, inp, alpha, n) => {
      const factor = Math.fround(alpha);
      view(out, n).set(view(inp, n).map((x) => x * factor));
    },
    axpyF32: (out, inp, alpha, n) => {
      const factor = Math.fround(alpha);
      const sum = view(out, n);
      view(inp, n).forEach((x, i) => (sum[i] = at(sum, i) + factor * x));
    },
    broadcastRowF32: (out, row, rows, cols) => {
      for (let r = 0; r < rows; r++) view(out + 4 * r * cols, cols).set(view(row, cols));
    },
  };
}
