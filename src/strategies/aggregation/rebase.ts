/**
 * Carries the change of a stale update over to the newest adapter: `now + (update - then)`, as asynchronous averaging adds changes rather
 * than averages models. Source: FedBuff (Nguyen et al. 2022, arXiv 2106.06639), there for plain weights; for products of factors ours.
 */
import type { AdapterState } from "../../base/adapter.ts";
import { hostArray, type NamedArrays } from "../../base/arrays.ts";
import { type ProductTerm, sumOfProducts } from "./product-sum.ts";

/**
 * An adapter whose products are those of `now` and the change of `update`; the ranks add up. `then` is what the update was trained
 * from, at its rank, and `now` the newest adapter in all its directions, both with the units of the update. null for an update that
 * was trained from fresh factors: its product is the change, and its heads stay as they are.
 */
export function rebase(
  update: AdapterState,
  then: AdapterState | null,
  now: AdapterState,
): AdapterState {
  const [old, fresh] = [then?.modules ?? [], now.modules].map(
    (modules) => new Map(modules.map((module) => [module.name, module])),
  );
  const modules = update.modules.map((module) => {
    const terms: [ProductTerm, ...ProductTerm[]] = [{ module, factor: 1 }];
    const [before, newest] = [old?.get(module.name), fresh?.get(module.name)];
    if (before !== undefined) terms.push({ module: before, factor: -1 });
    if (newest !== undefined) terms.push({ module: newest, factor: 1 });
    return sumOfProducts(terms);
  });
  if (then === null) return { modules, heads: update.heads };
  const heads: NamedArrays = new Map();
  for (const [name, { shape, data }] of update.heads) {
    const [before, newest] = [then, now].map((state) => state.heads.get(name)?.data);
    const moved = data.map((value, i) => value - (before?.[i] ?? 0) + (newest?.[i] ?? 0));
    heads.set(name, hostArray(shape, moved));
  }
  return { modules, heads };
}
