/** A continuous arm in [0, 1) for a bandit: the leaves of a tree of intervals with discounted rewards. */
import type { Rng } from "../../base/rng.ts";
import { fields, list, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";

const leafShape = fields({
  low: number(0, 1),
  high: number(0, 1),
  count: number(0),
  sum: number(),
  draws: number(0),
});

/** Reader of a saved tree. */
export const leavesShape = list(leafShape);

/** An interval [low, high): discounted count of draws and sum of their rewards, and draws since it was split off. */
export type Leaf = ShapeOf<typeof leafShape>;

export function wholeRange(): Leaf[] {
  return [{ low: 0, high: 1, count: 0, sum: 0, draws: 0 }];
}

export function drawIn({ low, high }: Leaf, rng: Rng): number {
  return low + (high - low) * rng.next();
}

/** The item with the largest value, a random one among equals. */
export function best<T>(items: readonly T[], valueOf: (item: T) => number, rng: Rng): T {
  const values = items.map(valueOf);
  const largest = Math.max(...values);
  return rng.pick(items.filter((_, i) => values[i] === largest));
}

/** Half width of the confidence interval of discounted UCB (Garivier and Moulines 2011), sqrt(2 ln n / N); infinite for N = 0. */
export function confidence(total: number, count: number): number {
  return count > 0 ? Math.sqrt((2 * Math.log(Math.max(1, total))) / count) : Infinity;
}

/** Discounted mean reward of one leaf, or of several; 0 before any draw. */
export function meanReward(...leaves: readonly Pick<Leaf, "count" | "sum">[]): number {
  const count = leaves.reduce((sum, leaf) => sum + leaf.count, 0);
  return count > 0 ? leaves.reduce((sum, leaf) => sum + leaf.sum, 0) / count : 0;
}

/** Ages all leaves by `discount` and gives the reward to the one that holds `position`, which it returns. */
export function record(
  leaves: readonly Leaf[],
  position: number,
  reward: number,
  discount: number,
): Leaf | undefined {
  for (const leaf of leaves) {
    leaf.count *= discount;
    leaf.sum *= discount;
  }
  const drawn = leaves.find(({ low, high }) => low <= position && position < high);
  if (drawn === undefined) return undefined;
  drawn.count += 1;
  drawn.sum += reward;
  drawn.draws += 1;
  return drawn;
}

/** Two leaves in place of one; each gets `inherited` of its count and rewards, so 0 starts them afresh. */
export function split(leaves: Leaf[], leaf: Leaf, at: number, inherited: number): void {
  const { low, high } = leaf;
  if (at <= low || at >= high) return;
  const child = { count: inherited * leaf.count, sum: inherited * leaf.sum, draws: 0 };
  leaves.splice(leaves.indexOf(leaf), 1, { ...child, low, high: at }, { ...child, low: at, high });
}
