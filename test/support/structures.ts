/** Structures to prune tiny models to, drawn and fixed. */
import fc from "fast-check";
import type { Structure, UnitCounts } from "../../src/base/structure.ts";

/** Any structure with at least one unit of each kind per layer. */
export function anyStructure(counts: UnitCounts): fc.Arbitrary<Structure> {
  return subsetOf({
    layers: Array.from({ length: counts.layers }, () => ({
      heads: range(counts.heads),
      ffn: range(counts.ffn),
    })),
  });
}

/** Any structure whose units are all in the given one. */
export function subsetOf({ layers }: Structure): fc.Arbitrary<Structure> {
  const some = (ids: readonly number[]): fc.Arbitrary<number[]> =>
    fc.oneof(
      { weight: 4, arbitrary: fc.subarray([...ids], { minLength: 1 }) },
      { weight: 1, arbitrary: fc.constantFrom(...ids).map((id) => [id]) },
    );
  return fc
    .tuple(...layers.map(({ heads, ffn }) => fc.record({ heads: some(heads), ffn: some(ffn) })))
    .map((kept) => ({ layers: kept }));
}

/** The first layer at one head and one channel, the others at every other channel. */
export function unevenStructure(counts: UnitCounts): Structure {
  return {
    layers: Array.from({ length: counts.layers }, (_, layer) => ({
      heads: layer === 0 ? [counts.heads - 1] : range(counts.heads),
      ffn: layer === 0 ? [5] : range(counts.ffn).filter((id) => id % 2 === 0),
    })),
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
