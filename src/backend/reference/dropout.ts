/** Dropout from the same integers as the kernel, so with the same mask. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** Twins of assembly/dropout.ts over `memory`, with the same arguments. */
export function createDropoutTwins(memory: WebAssembly.Memory): KernelSubset<"dropoutF32"> {
  return {
    dropoutF32: (out, inp, n, seedLo, seedHi, threshold, scale, from) => {
      const first = mix(seedLo | 0);
      const second = mix(first ^ seedHi);
      const target = floats(memory, out, n);
      const source = floats(memory, inp, n);
      for (let i = 0; i < n; i++) {
        const hash = mix(mix((first + Math.imul(from + i, 0x9e3779b9)) | 0) ^ second) >>> 0;
        target[i] = hash < threshold >>> 0 ? 0 : at(source, i) * Math.fround(scale);
      }
    },
  };
}
