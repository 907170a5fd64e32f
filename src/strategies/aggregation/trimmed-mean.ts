/**
 * The mean of the devices' changes without the largest and smallest quarter, entry by entry.
 * Source: Yin et al. 2018 (arXiv 1803.01498), there for gradients; in the space of products, over owners, with unequal ranks ours.
 */
import { type Centre, coordinateWise } from "./coordinate-wise.ts";

/** Cut off at either end; the share of devices that may lie. */
const TRIMMED_SHARE = 0.25;

/** At least one value at either end goes as soon as three are there. */
const trimmed: Centre = (sorted, count) => {
  const cut = count < 3 ? 0 : Math.max(1, Math.floor(TRIMMED_SHARE * count));
  let sum = 0;
  for (let i = cut; i < count - cut; i++) sum += sorted[i] as number;
  return sum / (count - 2 * cut);
};

/** Any ranks, scales and structures; claimed samples do not count. */
export const trimmedMean = coordinateWise("trimmed-mean", trimmed);
