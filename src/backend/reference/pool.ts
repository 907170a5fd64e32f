/** Means over valid tokens with f64 sums. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, validLengths } from "./views.ts";

/** Twins of assembly/pool.ts over `memory`, with the same arguments. */
export function createPoolTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"meanPoolF32" | "meanPoolBackwardF32"> {
  return {
    meanPoolF32: (out, inp, lengths, B, T, C) => {
      validLengths(memory, lengths, B, T).forEach((valid, b) => {
        const tokens = floats(memory, inp + 4 * b * T * C, valid * C);
        const sums = new Float64Array(C);
        tokens.forEach((x, i) => (sums[i % C] = at(sums, i % C) + x));
        floats(memory, out + 4 * b * C, C).set(sums.map((sum) => sum / Math.max(valid, 1)));
      });
    },
    meanPoolBackwardF32: (dInp, dOut, lengths, B, T, C) => {
      validLengths(memory, lengths, B, T).forEach((valid, b) => {
        const slope = floats(memory, dOut + 4 * b * C, C);
        floats(memory, dInp + 4 * b * T * C, T * C).forEach((_, i, all) => {
          all[i] = i < valid * C ? at(slope, i % C) / valid : 0;
        });
      });
    },
  };
}
