/** One factor of S-UCB: discounted UCB over a tree of intervals that is refined by halves and starts from the type's experience. */
import type { Rng } from "../../base/rng.ts";
import { confidence, drawIn, meanReward, record, split, best } from "./interval-tree.ts";
import type { Leaf } from "./interval-tree.ts";
import { advantageIn, hasDraws, note } from "./type-prior.ts";
import type { TypePrior } from "./type-prior.ts";

export interface FactorSettings {
  /** Weight of a draw per later draw of the same device, in (0, 1]. */
  readonly discount: number;
  /** Factor on the confidence interval. */
  readonly exploration: number;
  /** Draws after which an interval is halved. */
  readonly splitAfter: number;
  /** Draws that the experience of the device's type stands for. */
  readonly prior: number;
}

/** What speaks for one interval. */
export interface Estimate {
  readonly mean: number;
  readonly bonus: number;
}

/** Mean reward with the type's experience blended in, and the bonus for what is not known yet. */
export function estimate(
  leaves: readonly Leaf[],
  leaf: Leaf,
  type: TypePrior,
  { exploration, prior }: FactorSettings,
): Estimate {
  const borrowed = hasDraws(type) ? prior : 0;
  const expected = meanReward(...leaves) + advantageIn(type, leaf.low, leaf.high);
  const count = leaf.count + borrowed;
  const total = leaves.reduce((sum, one) => sum + one.count + borrowed, 0);
  const mean = count > 0 ? (leaf.sum + borrowed * expected) / count : 0;
  return { mean, bonus: exploration === 0 ? 0 : exploration * confidence(total, count) };
}

/** A position in [0, 1), uniform in the interval whose upper confidence bound is largest. */
export function draw(
  leaves: readonly Leaf[],
  type: TypePrior,
  settings: FactorSettings,
  rng: Rng,
): number {
  const bound = (leaf: Leaf): number => {
    const { mean, bonus } = estimate(leaves, leaf, type, settings);
    return mean + bonus;
  };
  return drawIn(best(leaves, bound, rng), rng);
}

/** Books a reward in [0, 1] and halves the interval when it has been drawn often enough and is wider than `finest`. */
export function reward(
  leaves: Leaf[],
  type: TypePrior,
  at: { readonly position: number; readonly value: number; readonly finest: number },
  { discount, splitAfter }: FactorSettings,
): void {
  const isFirst = leaves.every(({ count }) => count === 0);
  if (!isFirst) note(type, at.position, at.value - meanReward(...leaves));
  const leaf = record(leaves, at.position, at.value, discount);
  if (leaf === undefined || leaf.draws < splitAfter || leaf.high - leaf.low <= at.finest) return;
  // Halves, not the drawn point, and heirs to the mean: or the next draws would all go to one side.
  split(leaves, leaf, (leaf.low + leaf.high) / 2, 0.5);
}
