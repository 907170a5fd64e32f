/** The sample-weighted mean of layers that are trained in full; every aggregator merges heads this way. */
import { type HostArray, type NamedArrays, hostArray } from "../../base/arrays.ts";

/** Mean of arrays of one shape with weights that sum to one; sums in double precision. */
export function weightedMean(terms: readonly { array: HostArray; weight: number }[]): HostArray {
  const shape = terms[0]?.array.shape ?? [];
  const sums = new Float64Array(terms[0]?.array.data.length ?? 0);
  for (const { array, weight } of terms) {
    for (let i = 0; i < sums.length; i++)
      sums[i] = (sums[i] as number) + weight * (array.data[i] as number);
  }
  return hostArray(shape, Float32Array.from(sums));
}

/** Mean of each head tensor over the updates, in the order of names of the first one. */
export function mergeHeads(
  terms: readonly { update: { heads: NamedArrays }; weight: number }[],
): NamedArrays {
  const merged: NamedArrays = new Map();
  for (const name of terms[0]?.update.heads.keys() ?? []) {
    const arrays = terms.map(({ update, weight }) => ({
      array: update.heads.get(name) as HostArray,
      weight,
    }));
    merged.set(name, weightedMean(arrays));
  }
  return merged;
}
