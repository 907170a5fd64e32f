/**
 * The exact mean of the products B A, for devices with different ranks and different pruned structures: the factors are stacked
 * and cut back to rank R by a small SVD.
 * Source: stacking from FLoRA (Wang et al. 2024), SVD from FlexLoRA (Bai et al. 2024), owner averaging from HeteroFL (Diao et al. 2021).
 */
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { truncateProduct } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { ownerStack } from "./owner-stack.ts";

/** Any ranks, scales and structures; throws RoundError for a layer that is pruned in both directions. */
export const loraStack: Aggregator = layerWise({
  name: "lora-stack",
  takesAnyRank: true,
  mergeLayer(terms, start, { rank, scale }) {
    const rest = start && ({ module: start, where: "unowned" } as const);
    const { factors, ...energy } = truncateProduct(ownerStack(terms, scale, rest), rank, "even");
    return { module: moduleOf(terms, factors, scale), energy };
  },
});
