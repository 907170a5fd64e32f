/**
 * The sample-weighted mean of A and of B, each by itself.
 * Source: McMahan et al. 2017 (FedAvg), applied to LoRA factors as in FedIT (Zhang et al. 2023); owner averaging for pruned
 * structures from HeteroFL (Diao et al. 2021). The product of the means is not the mean of the products; lora-stack is exact.
 */
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { factorDefect, ownerMean } from "./owner-mean.ts";

/** Needs updates of the result's rank and scale; any structures. */
export const fedAvg: Aggregator = layerWise({
  name: "fed-avg",
  needsEqualRanks: true,
  defectIn: (update, { rank, scale }) => factorDefect(update, { minRank: rank, rank, scale }),
  mergeLayer: (terms, start, { rank, scale }) => ({
    module: ownerMean(terms, start, { rank, scale, directions: "padded", pruned: "left-out" }),
  }),
});
