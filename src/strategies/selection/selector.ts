/** What a selection strategy is: the devices at hand in, those that train this round out. */
import type { Rng } from "../../base/rng.ts";

export interface Selector {
  readonly name: string;
  /**
   * A subset of `deviceIds`, sorted; `count` is how many a strategy that draws should draw.
   * The same ids in any order and the same state of `rng` give the same subset.
   */
  select(deviceIds: readonly string[], count: number, rng: Rng): string[];
}
