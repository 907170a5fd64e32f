/**
 * The exact sum of what was and the mean of what devices added: the stacked factors go to the devices as they are, which fold them
 * into their base and train fresh ones. The rank grows by the sum of the devices' ranks until the layer's smaller side is reached;
 * from there on the product itself is one factor and the identity the other.
 * Source: FLoRA (Wang et al., NeurIPS 2024), sections 3.2 and 3.3. Ours: the base stays as it is on disk and the sum of all rounds
 * is sent, so that devices with different structures can slice it; owner averaging where structures differ.
 */
import { type Dense, dense, timesTransposed } from "./dense.ts";
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import type { Factors } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { ownerStack } from "./owner-stack.ts";

/** Any ranks, scales and structures; throws RoundError for a layer that is pruned in both directions. */
export const flora: Aggregator = layerWise({
  name: "flora",
  takesAnyRank: true,
  devicesMerge: true,
  mergeLayer(terms, start, { scale }) {
    const before = start && ({ module: start, where: "everywhere" } as const);
    return { module: moduleOf(terms, atMostFull(ownerStack(terms, scale, before)), scale) };
  },
});

/** The same product with at most min(out, in) directions. */
function atMostFull({ left, right }: Factors): Factors {
  if (left.cols <= Math.min(left.rows, right.rows)) return { left, right };
  return right.rows <= left.rows
    ? { left: timesTransposed(left, right), right: identity(right.rows) }
    : { left: identity(left.rows), right: timesTransposed(right, left) };
}

function identity(size: number): Dense {
  const out = dense(size, size);
  for (let i = 0; i < size; i++) out.data[i * size + i] = 1;
  return out;
}
