/** The kernel set in plain TypeScript: what the WebAssembly kernels are tested against. */
import type { Kernels } from "./kernels.ts";
import { createMatmulTwins } from "./reference/matmul.ts";

/** Twins of all kernels over `memory`; slow, no SIMD, sums in f64. A missing twin does not compile. */
export function createReferenceKernels(memory: WebAssembly.Memory): Kernels {
  return {
    heapBase: () => 64,
    ...createMatmulTwins(memory),
  };
}
