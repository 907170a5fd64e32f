/** Which devices' pruned models a round's adapter is scored on. */
import type { Structure } from "../base/structure.ts";

/** One device's model. */
export interface PrunedModel {
  readonly structure: Structure;
  readonly sparsity: number;
}

/**
 * `count` of the models, evenly from the least to the most pruned, so that curves over rounds compare like with like; all of them
 * when there are no more. Empty when no model has lost anything: then the whole model stands for all.
 */
export function scoredModels(
  models: ReadonlyMap<string, PrunedModel>,
  count: number,
): ReadonlyMap<string, Structure> {
  if ([...models.values()].every(({ sparsity }) => sparsity === 0)) return new Map();
  const sorted = [...models].sort(
    ([a, x], [b, y]) => x.sparsity - y.sparsity || (a < b ? -1 : a > b ? 1 : 0),
  );
  const last = sorted.length - 1;
  const places = Array.from({ length: Math.min(count, sorted.length) }, (_, i) =>
    count === 1 ? last : Math.round((i * last) / Math.max(1, Math.min(count, sorted.length) - 1)),
  );
  const picked = sorted.filter((_, i) => places.includes(i));
  return new Map(picked.map(([device, { structure }]) => [device, structure]));
}
