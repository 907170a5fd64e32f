/** Reductions with f64 sums, in ascending order. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

type ReduceName = "sumF32" | "sumSquaresF32" | "sumRowsF32" | "dotF32" | "countNonFiniteF32";

/** Twins of assembly/reduce.ts over `memory`, with the same arguments. */
export function createReduceTwins(memory: WebAssembly.Memory): KernelSubset<ReduceName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    sumF32: (inp, n) => Math.fround(view(inp, n).reduce((sum, x) => sum + x, 0)),
    sumSquaresF32: (inp, n) => view(inp, n).reduce((sum, x) => sum + x * x, 0),
    dotF32: (a, b, n) => {
      const right = view(b, n);
      return Math.fround(view(a, n).reduce((sum, x, i) => sum + x * at(right, i), 0));
    },
    sumRowsF32: (out, inp, rows, cols) => {
      const sums = Float64Array.from(view(out, cols));
      for (let r = 0; r < rows; r++) {
        view(inp + 4 * r * cols, cols).forEach((x, c) => (sums[c] = at(sums, c) + x));
      }
      view(out, cols).set(sums);
    },
    countNonFiniteF32: (inp, n) => view(inp, n).filter((x) => !Number.isFinite(x)).length,
  };
}
