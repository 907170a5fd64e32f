/** Importance of units as plain numbers, and as the tensors that travel with an adapter. */
import { hostArray, shapeText, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { unitKinds, type Structure, type UnitCounts, type UnitKind } from "../base/structure.ts";

/**
 * Per layer one number for each unit of a kind, larger for what matters more. A number stands for all
 * parameters of its unit together, so that what it is worth per parameter compares heads with channels.
 */
export type UnitScores = readonly Readonly<Record<UnitKind, Float64Array>>[];

/** Names of the tensors [L, units], by kind, as in adapter files. */
const tensorName = (kind: UnitKind): string => `scores.${kind}`;

/** One number for each unit of the unpruned model, from a function of where it stands. */
export function scoresOf(
  counts: UnitCounts,
  valueAt: (layer: number, kind: UnitKind, id: number) => number,
): UnitScores {
  return Array.from({ length: counts.layers }, (_, layer) => ({
    heads: Float64Array.from({ length: counts.heads }, (_unused, id) => valueAt(layer, "heads", id)),
    ffn: Float64Array.from({ length: counts.ffn }, (_unused, id) => valueAt(layer, "ffn", id)),
  }));
}

/** The score of one unit; 0 for one that is not there. */
export function scoreAt(scores: UnitScores, layer: number, kind: UnitKind, id: number): number {
  return scores[layer]?.[kind][id] ?? 0;
}

/** As tensors `scores.heads` and `scores.ffn`, each [L, units] over original ids; 0 for units that the structure lacks. */
export function scoreTensors(
  scores: UnitScores,
  structure: Structure,
  counts: UnitCounts,
): NamedArrays {
  return new Map(
    unitKinds.map((kind) => {
      const array = hostArray([counts.layers, counts[kind]]);
      structure.layers.forEach((layer, i) => {
        for (const id of layer[kind]) {
          array.data[i * counts[kind] + id] = scoreAt(scores, i, kind, id);
        }
      });
      return [tensorName(kind), array] as const;
    }),
  );
}

/**
 * Reads what {@link scoreTensors} writes; null when there is neither tensor. Throws CheckpointError for half
 * of them, another shape, and numbers that are negative or not finite.
 */
export function readScoreTensors(
  tensors: NamedArrays,
  counts: UnitCounts,
  origin: string,
): UnitScores | null {
  if (unitKinds.every((kind) => !tensors.has(tensorName(kind)))) return null;
  for (const kind of unitKinds) {
    const tensor = tensors.get(tensorName(kind));
    const expected = shapeText([counts.layers, counts[kind]]);
    if (tensor === undefined || shapeText(tensor.shape) !== expected) {
      throw new CheckpointError(`${origin}: ${tensorName(kind)}`, {
        expected,
        got: tensor === undefined ? "nothing of that name" : shapeText(tensor.shape),
      });
    }
    const bad = tensor.data.find((value) => !(value >= 0 && value < Infinity));
    if (bad !== undefined) {
      throw new CheckpointError(`${origin}: ${tensorName(kind)}`, {
        expected: "finite numbers from 0",
        got: String(bad),
      });
    }
  }
  return scoresOf(
    counts,
    (layer, kind, id) => tensors.get(tensorName(kind))?.data[layer * counts[kind] + id] ?? 0,
  );
}
