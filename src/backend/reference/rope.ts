/** Rotary positions, one pair at a time. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, integers } from "./views.ts";

/** Twins of assembly/rope.ts over `memory`, with the same arguments. */
export function createRopeTwins(memory: WebAssembly.Memory): KernelSubset<"ropeF32"> {
  return {
    ropeF32: (out, inp, cos, sin, positions, rows, heads, D, direction) => {
      const half = D >> 1;
      const places = integers(memory, positions, rows);
      for (let r = 0; r < rows; r++) {
        const c = floats(memory, cos + 4 * at(places, r) * half, half);
        const s = floats(memory, sin + 4 * at(places, r) * half, half);
        for (let h = 0; h < heads; h++) {
          const offset = 4 * (r * heads + h) * 2 * half;
          const x = floats(memory, inp + offset, 2 * half);
          const turned = floats(memory, out + offset, 2 * half);
          for (let j = 0; j < half; j++) {
            const [a, b, sine] = [at(x, j), at(x, j + half), at(s, j) * direction];
            turned[j] = a * at(c, j) - b * sine;
            turned[j + half] = b * at(c, j) + a * sine;
          }
        }
      }
    },
  };
}
