/** Means over tokens with f64 sums. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, sequences } from "./views.ts";

/** Twins of assembly/pool.ts over `memory`, with the same arguments. */
export function createPoolTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"meanPoolF32" | "meanPoolBackwardF32"> {
  return {
    meanPoolF32: (out, inp, offsets, B, C) => {
      sequences(memory, offsets, B).forEach(({ first, end }, b) => {
        const tokens = floats(memory, inp + 4 * first * C, (end - first) * C);
        const sums = new Float64Array(C);
        tokens.forEach((x, i) => (sums[i % C] = at(sums, i % C) + x));
        floats(memory, out + 4 * b * C, C).set(sums.map((sum) => sum / Math.max(end - first, 1)));
      });
    },
    meanPoolBackwardF32: (dInp, dOut, offsets, B, C) => {
      sequences(memory, offsets, B).forEach(({ first, end }, b) => {
        const slope = floats(memory, dOut + 4 * b * C, C);
        floats(memory, dInp + 4 * first * C, (end - first) * C).forEach((_, i, all) => {
          all[i] = at(slope, i % C) / (end - first);
        });
      });
    },
  };
}
