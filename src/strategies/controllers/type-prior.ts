/** What devices of one type have learnt about an arm in [0, 1): where a device without draws of its own starts from. */
import { fields, list, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";

const numBins = 8;

const binShape = fields({ count: number(0), sum: number() });

/** Reader of a saved {@link TypePrior}. */
export const typePriorShape = list(binShape);

/** Discounted counts of draws and sums of their advantages, in equal parts of [0, 1). */
export type TypePrior = ShapeOf<typeof typePriorShape>;

export function emptyPrior(): TypePrior {
  return Array.from({ length: numBins }, () => ({ count: 0, sum: 0 }));
}

export function age(prior: TypePrior, discount: number): void {
  for (const bin of prior) {
    bin.count *= discount;
    bin.sum *= discount;
  }
}

/** `advantage`: reward less the mean reward of the device, so that slow and fast devices can learn from each other. */
export function note(prior: TypePrior, position: number, advantage: number): void {
  const bin = prior[Math.min(prior.length - 1, Math.floor(position * prior.length))];
  if (bin === undefined) return;
  bin.count += 1;
  bin.sum += advantage;
}

/** Mean advantage over [low, high), drawn towards 0 while draws are few. */
export function advantageIn(prior: TypePrior, low: number, high: number): number {
  let count = 1;
  let sum = 0;
  prior.forEach((bin, i) => {
    const [from, to] = [i / prior.length, (i + 1) / prior.length];
    const share = Math.max(0, Math.min(high, to) - Math.max(low, from)) * prior.length;
    count += share * bin.count;
    sum += share * bin.sum;
  });
  return sum / count;
}

export function hasDraws(prior: TypePrior): boolean {
  return prior.some(({ count }) => count > 0);
}
