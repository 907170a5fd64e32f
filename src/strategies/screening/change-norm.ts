/** How far an update lies from what its device was sent. */
import type { AdapterState } from "../../base/adapter.ts";
import { productNorm, sumOfProducts } from "../aggregation/product-sum.ts";

/** Frobenius norms over all layers together. */
export interface ChangeNorm {
  /** Of `s B A - s0 B0 A0`, the change of the adapted weights: factors can be turned or rescaled without any change. */
  readonly products: number;
  /** Of the layers that are trained in full. */
  readonly heads: number;
}

/**
 * `start` has the rank and the units that the device trained, so that what pruning removed does not count as a change; null for
 * fresh factors, whose product is zero and whose heads are not known here: then the norm of the heads is that of their values.
 */
export function changeNorm(update: AdapterState, start: AdapterState | null): ChangeNorm {
  const starts = new Map(start?.modules.map((module) => [module.name, module]));
  const products = update.modules.map((module) => {
    const before = starts.get(module.name);
    if (before === undefined) return productNorm(module);
    return productNorm(
      sumOfProducts([
        { module, factor: 1 },
        { module: before, factor: -1 },
      ]),
    );
  });
  const heads = [...update.heads].map(([name, { data }]) => {
    const before = start?.heads.get(name)?.data;
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum += ((data[i] as number) - (before?.[i] ?? 0)) ** 2;
    return Math.sqrt(sum);
  });
  return { products: Math.hypot(...products), heads: Math.hypot(...heads) };
}
