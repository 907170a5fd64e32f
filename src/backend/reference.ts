/** The kernel set in plain TypeScript: what the WebAssembly kernels are tested against. */
import type { Kernels } from "./kernels.ts";
import { createActivationTwins } from "./reference/activation.ts";
import { createAttentionTwins } from "./reference/attention.ts";
import { createConvertTwins } from "./reference/convert.ts";
import { createCrossEntropyTwins } from "./reference/cross-entropy.ts";
import { createDropoutTwins } from "./reference/dropout.ts";
import { createElementwiseTwins } from "./reference/elementwise.ts";
import { createEmbeddingTwins } from "./reference/embedding.ts";
import { createMatmulTwins } from "./reference/matmul.ts";
import { createNormTwins } from "./reference/norm.ts";
import { createOptimizerTwins } from "./reference/optimizer.ts";
import { createPoolTwins } from "./reference/pool.ts";
import { createQuantiseTwins } from "./reference/quantise.ts";
import { createReduceTwins } from "./reference/reduce.ts";
import { createRopeTwins } from "./reference/rope.ts";
import { createSoftmaxTwins } from "./reference/softmax.ts";
import { createStoredProductTwins } from "./reference/stored-product.ts";
import { createUnitScoreTwins } from "./reference/unit-scores.ts";

/** Twins of all kernels over `memory`; slow, no SIMD, sums in f64. A missing twin does not compile. */
export function createReferenceKernels(memory: WebAssembly.Memory): Kernels {
  return {
    heapBase: () => 64,
    ...createActivationTwins(memory),
    ...createAttentionTwins(memory),
    ...createConvertTwins(memory),
    ...createCrossEntropyTwins(memory),
    ...createDropoutTwins(memory),
    ...createElementwiseTwins(memory),
    ...createEmbeddingTwins(memory),
    ...createMatmulTwins(memory),
    ...createNormTwins(memory),
    ...createOptimizerTwins(memory),
    ...createPoolTwins(memory),
    ...createQuantiseTwins(memory),
    ...createReduceTwins(memory),
    ...createRopeTwins(memory),
    ...createSoftmaxTwins(memory),
    ...createStoredProductTwins(memory),
    ...createUnitScoreTwins(memory),
  };
}
