/**
 * The mean of the dense products B A, cut back to rank R by SVD with all singular values in B.
 * Source: FlexLoRA (Bai et al., NeurIPS 2024); the owner averaging for pruned structures is ours. Equal to lora-stack but for the split.
 */
import type { Aggregator } from "./aggregator.ts";
import { timesTransposed } from "./dense.ts";
import { layerWise } from "./layer-wise.ts";
import { truncateMatrix } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { ownerStack } from "./owner-stack.ts";

/** Any ranks, scales and structures; throws RoundError for a layer that is pruned in both directions. */
export const flexLora: Aggregator = layerWise({
  name: "flex-lora",
  takesAnyRank: true,
  mergeLayer(terms, start, { rank, scale }) {
    const rest = start && ({ module: start, where: "unowned" } as const);
    const { left, right } = ownerStack(terms, scale, rest);
    const { factors, ...energy } = truncateMatrix(timesTransposed(left, right), rank, "left");
    return { module: moduleOf(terms, factors, scale), energy };
  },
});
