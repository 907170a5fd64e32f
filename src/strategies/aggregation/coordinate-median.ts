/**
 * The median of the devices' changes, entry by entry: up to half of the owners of an entry may send anything.
 * Source: Yin et al. 2018 (arXiv 1803.01498), there for gradients; in the space of products, over owners, with unequal ranks ours.
 */
import { type Centre, coordinateWise } from "./coordinate-wise.ts";

/** The middle value, or the mean of the two in the middle. */
export const middle: Centre = (sorted, count) => {
  const half = count >> 1;
  const upper = sorted[half] as number;
  return count % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
};

/** Any ranks, scales and structures; claimed samples do not count. */
export const coordinateMedian = coordinateWise("coordinate-median", middle);
