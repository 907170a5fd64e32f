/**
 * lora-stack for devices of unequal ranks that train the received factors on: a device of a lower rank never saw the last directions,
 * so its product lacks them, and a plain mean would shrink them in every round as if it had unlearnt them. Here its update is
 * completed with them: new = sum_i w_i (s_i B_i A_i + old - old cut to r_i), which is old plus the mean of the changes.
 * Source: ours; residual recovery from R2SP (FedMP, Jiang et al. 2022), carried over from pruned weights to cut directions.
 */
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { truncateProduct } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { ownerStack } from "./owner-stack.ts";

/**
 * Any ranks, scales and structures; throws RoundError for a layer that is pruned in both directions. An update of rank r counts as
 * trained from the first r directions, also where the device has lowered its rank itself.
 */
export const loraResidual: Aggregator = layerWise({
  name: "lora-residual",
  takesAnyRank: true,
  mergeLayer(terms, start, { rank, scale }) {
    const rest = start && ({ module: start, where: "unsent" } as const);
    const { factors, ...energy } = truncateProduct(ownerStack(terms, scale, rest), rank, "even");
    return { module: moduleOf(terms, factors, scale), energy };
  },
});
