/**
 * The mean of zero-padded factors, weighted by how much each device changed the layer: w_k = ||B_k A_k||_F / sum_j ||B_j A_j||_F.
 * Source: HetLoRA's sparsity-weighted aggregation (Cho et al., EMNLP 2024, section 4). Norms are taken per layer and sample counts do
 * not matter; both are our reading. Owner averaging for pruned structures is ours.
 */
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { factorDefect, ownerMean } from "./owner-mean.ts";
import { productNorm } from "./product-sum.ts";

/** Needs updates of the result's scale and at most its rank; any structures. */
export const hetLora: Aggregator = layerWise({
  name: "het-lora",
  defectIn: (update, { rank, scale }) => factorDefect(update, { minRank: 1, rank, scale }),
  mergeLayer(terms, start, { rank, scale }) {
    const norms = terms.map(({ module }) => productNorm(module));
    const hasChanged = norms.some((norm) => norm > 0);
    const weighed = hasChanged
      ? terms.map((term, i) => ({ ...term, weight: norms[i] as number }))
      : terms;
    return {
      module: ownerMean(weighed, start, { rank, scale, directions: "padded", pruned: "left-out" }),
    };
  },
});
