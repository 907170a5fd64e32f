/**
 * The sample-weighted mean of A and of B with every device completed: what pruning took from it counts as it was before the round.
 * Source: R2SP of FedMP (Jiang et al., ICDE 2022), x' = sum_n w_n (recover(x_n) + x - sparse_n(x)), there for whole weights and equal w_n.
 */
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { factorDefect, ownerMean } from "./owner-mean.ts";

/** Needs updates of the result's rank and scale; any structures. In the first round there is no before: as fed-avg. */
export const r2sp: Aggregator = layerWise({
  name: "r2sp",
  needsEqualRanks: true,
  defectIn: (update, { rank, scale }) => factorDefect(update, { minRank: rank, rank, scale }),
  mergeLayer: (terms, start, { rank, scale }) => ({
    module: ownerMean(terms, start, { rank, scale, directions: "padded", pruned: "as-before" }),
  }),
});
