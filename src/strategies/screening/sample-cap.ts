/** Bounds the weight that a device can claim: nobody can count its examples for it. */
import { median } from "./median.ts";

export interface SampleCap {
  /** Times the median of the claims of a round; null = no bound by the others. */
  readonly factor: number | null;
  /** Whatever the others claim; null = no such bound. */
  readonly most: number | null;
}

/** The most samples that count in a round with these claims, at least 1; Infinity without any bound. */
export function mostSamples(claims: readonly number[], { factor, most }: SampleCap): number {
  const byOthers = factor === null ? Infinity : Math.ceil(factor * median(claims));
  return Math.max(1, Math.min(byOthers, most ?? Infinity));
}
