/** The mean of products as its definition says, entry by entry: what the exact aggregators are held to. */
import type { LoraModule } from "../../src/base/adapter.ts";
import type { AdapterUpdate } from "../../src/strategies/aggregation/aggregator.ts";
import { denseProduct, moduleNamed } from "./adapters.ts";

/** Each entry is the sample-weighted mean over the devices that have its row and column, or `previous`, or zero. [out][in] */
export function denseOwnerMean(
  updates: readonly AdapterUpdate[],
  name: string,
  previous?: LoraModule,
): number[][] {
  const terms = updates.map((update) => {
    const module = moduleNamed(update, name);
    return { module, product: denseProduct(module), weight: update.numSamples };
  });
  const start = previous === undefined ? undefined : denseProduct(previous);
  return (terms[0]?.product ?? []).map((row, o) =>
    row.map((_, i) => {
      let sum = 0;
      let weights = 0;
      for (const { module, product, weight } of terms) {
        const isOwner =
          module.rows?.indices.includes(o) !== false && module.cols?.indices.includes(i) !== false;
        if (!isOwner) continue;
        sum += weight * (product[o]?.[i] as number);
        weights += weight;
      }
      return weights === 0 ? (start?.[o]?.[i] ?? 0) : sum / weights;
    }),
  );
}

/** Sum of the squares of all entries. */
export function squares(rows: readonly (readonly number[])[]): number {
  return rows.flat().reduce((sum, value) => sum + value * value, 0);
}

export function difference(
  x: readonly (readonly number[])[],
  y: readonly (readonly number[])[],
): number[][] {
  return x.map((row, o) => row.map((value, i) => value - (y[o]?.[i] ?? Number.NaN)));
}
