/** Importance of units as plain numbers. */
import type { UnitCounts, UnitKind } from "../base/structure.ts";

/**
 * Per layer one number for each unit of a kind, larger for what matters more. A number stands for all
 * parameters of its unit together, so that what it is worth per parameter compares heads with channels.
 */
export type UnitScores = readonly Readonly<Record<UnitKind, Float32Array | Float64Array>>[];

/** One number for each unit of the unpruned model, from a function of where it stands. */
export function scoresOf(
  counts: UnitCounts,
  valueAt: (layer: number, kind: UnitKind, id: number) => number,
): UnitScores {
  return Array.from({ length: counts.layers }, (_, layer) => ({
    heads: Float64Array.from({ length: counts.heads }, (_unused, id) =>
      valueAt(layer, "heads", id),
    ),
    ffn: Float64Array.from({ length: counts.ffn }, (_unused, id) => valueAt(layer, "ffn", id)),
  }));
}

/** The score of one unit; 0 for one that is not there. */
export function scoreAt(scores: UnitScores, layer: number, kind: UnitKind, id: number): number {
  return scores[layer]?.[kind][id] ?? 0;
}
