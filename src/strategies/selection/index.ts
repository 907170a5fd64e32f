/** The selectors by name: the one list to extend. */
import { selectAll } from "./all.ts";
import { selectRandom } from "./random.ts";
import type { Selector } from "./selector.ts";

export const selectors: Readonly<Record<string, Selector>> = {
  [selectAll.name]: selectAll,
  [selectRandom.name]: selectRandom,
};
