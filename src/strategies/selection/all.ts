/** Every device trains in every round. */
import type { Selector } from "./selector.ts";

/** Ignores `count`: whoever is here takes part. */
export const selectAll: Selector = {
  name: "all",
  select: (deviceIds) => [...deviceIds].sort(),
};
