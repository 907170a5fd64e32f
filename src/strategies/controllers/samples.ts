/** Discounted samples of an advantage and when they prove one choice better than another. */
import { fields, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";

/** Reader of saved {@link Samples}. */
export const samplesShape = fields({ count: number(0), sum: number(), squares: number(0) });

export type Samples = ShapeOf<typeof samplesShape>;

/** Smallest standard deviation that is believed: few samples may happen to agree. */
const leastDeviation = 0.1;

export function noSamples(): Samples {
  return { count: 0, sum: 0, squares: 0 };
}

export function addSample(samples: Samples, value: number): void {
  samples.count += 1;
  samples.sum += value;
  samples.squares += value ** 2;
}

export function ageSamples(samples: Samples, discount: number): void {
  samples.count *= discount;
  samples.sum *= discount;
  samples.squares *= discount;
}

export function meanOf({ count, sum }: Samples): number {
  return count > 0 ? sum / count : 0;
}

/** Standard error of the mean; infinite without a whole sample. */
export function errorOf({ count, sum, squares }: Samples): number {
  if (count < 1) return Infinity;
  const variance = squares / count - (sum / count) ** 2;
  return Math.sqrt(Math.max(leastDeviation ** 2, variance) / count);
}

/** Whether `a` is better than `b` by more than `certainty` standard errors of the difference. */
export function surely(a: Samples, b: Samples, certainty: number): boolean {
  return meanOf(a) - meanOf(b) > certainty * Math.hypot(errorOf(a), errorOf(b));
}
