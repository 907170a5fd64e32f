/** A uniform draw without replacement, as in FedAvg (McMahan et al. 2017). */
import type { Selector } from "./selector.ts";

export const selectRandom: Selector = {
  name: "random",
  select: (deviceIds, count, rng) =>
    rng
      .shuffle([...deviceIds].sort())
      .slice(0, count)
      .sort(),
};
