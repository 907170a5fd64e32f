/** Which units go next: one ranking of heads and channels by score per parameter, down to a target size. */
import type { ModelShape } from "../base/model-shape.ts";
import { fullStructure, unitKinds, type Structure, type UnitKind } from "../base/structure.ts";
import { bodyParameters, unitParameters } from "../cost/parameters.ts";
import { scoreAt, scoresOf, type UnitScores } from "./unit-scores.ts";

export interface PruneOptions {
  readonly shape: ModelShape;
  /** What is left now; nothing comes back. */
  readonly structure: Structure;
  /** By original id. */
  readonly scores: UnitScores;
  /** Share of the body's parameters that shall be gone, in [0, 1). */
  readonly sparsity: number;
  /** Share of the unpruned channels that every layer keeps at least; every layer keeps one head and one channel anyway. */
  readonly minFfnShare: number;
}

interface Unit {
  readonly layer: number;
  readonly kind: UnitKind;
  readonly id: number;
  /** Score per parameter. */
  readonly density: number;
}

/**
 * The structure after removing units in ascending order of score per parameter. What is gone then differs from
 * the target by at most half the size of the smaller kind of unit: a unit too large for what is still to go is
 * passed over in favour of the next smaller ones. Only where the floors leave none of those is the difference
 * larger. Equal scores go by layer, kind and id; the result depends on nothing else.
 */
export function pruneTo(options: PruneOptions): Structure {
  const { shape, structure, minFfnShare } = options;
  if (!isDue(options)) return structure;
  const sizes = unitSizes(shape);
  const half = Math.min(sizes.heads, sizes.ffn) / 2;
  let excess = excessOf(options);
  const floors = { heads: 1, ffn: Math.max(1, Math.ceil(minFfnShare * shape.units.ffn)) };
  const left = structure.layers.map(({ heads, ffn }) => ({
    heads: new Set(heads),
    ffn: new Set(ffn),
  }));
  const removeWhere = (isWanted: (size: number) => boolean, units: readonly Unit[]): void => {
    for (const { layer, kind, id } of units) {
      const there = left[layer]?.[kind];
      if (there === undefined || there.size <= floors[kind] || !isWanted(sizes[kind])) continue;
      if (there.delete(id)) excess -= sizes[kind];
    }
  };
  const ranked = rankUnits(options, sizes);
  removeWhere((size) => size <= excess + half, ranked);
  // The floors are reached and only units larger than the rest are free: take one where it brings us closer.
  removeWhere((size) => excess >= half && size < 2 * excess, ranked);
  return {
    layers: structure.layers.map((layer, i) => ({
      heads: layer.heads.filter((id) => left[i]?.heads.has(id)),
      ffn: layer.ffn.filter((id) => left[i]?.ffn.has(id)),
    })),
  };
}

/** Whether a structure has so many parameters too many that a unit more or less would bring it closer to the target. */
export function isDue(options: Pick<PruneOptions, "shape" | "structure" | "sparsity">): boolean {
  const sizes = unitSizes(options.shape);
  return excessOf(options) >= Math.min(sizes.heads, sizes.ffn) / 2;
}

/** Parameters that are still to go. */
function excessOf({
  shape,
  structure,
  sparsity,
}: Pick<PruneOptions, "shape" | "structure" | "sparsity">): number {
  const whole = bodyParameters(shape, fullStructure(shape.units));
  return bodyParameters(shape, structure) - (1 - sparsity) * whole;
}

function unitSizes(shape: ModelShape): Readonly<Record<UnitKind, number>> {
  return { heads: unitParameters(shape, "heads"), ffn: unitParameters(shape, "ffn") };
}

/** All units that are left, the least worth their parameters first. */
function rankUnits(
  { structure, scores }: PruneOptions,
  sizes: Readonly<Record<UnitKind, number>>,
): Unit[] {
  const units = structure.layers.flatMap((left, layer) =>
    unitKinds.flatMap((kind) =>
      left[kind].map((id): Unit => {
        return { layer, kind, id, density: scoreAt(scores, layer, kind, id) / sizes[kind] };
      }),
    ),
  );
  // The list is in order of layer, kind and id, and a stable sort leaves equals so.
  return units.sort((a, b) => a.density - b.density);
}

/**
 * A mixture of a device's own scores with the fleet's, each divided by its mean over the units that are left
 * and that both know, since their scales have nothing to do with each other. 0 stands for not known: the other
 * side's number then counts alone. `weight` in [0, 1] is the fleet's.
 */
export function blendScores(
  own: UnitScores,
  fleet: UnitScores,
  weight: number,
  { shape, structure }: Pick<PruneOptions, "shape" | "structure">,
): UnitScores {
  let [ownSum, fleetSum, count] = [0, 0, 0];
  structure.layers.forEach((left, layer) => {
    for (const kind of unitKinds) {
      for (const id of left[kind]) {
        const [mine, theirs] = [scoreAt(own, layer, kind, id), scoreAt(fleet, layer, kind, id)];
        if (mine === 0 || theirs === 0) continue;
        ownSum += mine;
        fleetSum += theirs;
        count++;
      }
    }
  });
  const [ownScale, fleetScale] = count === 0 ? [1, 1] : [count / ownSum, count / fleetSum];
  return scoresOf(shape.units, (layer, kind, id) => {
    const mine = ownScale * scoreAt(own, layer, kind, id);
    const theirs = fleetScale * scoreAt(fleet, layer, kind, id);
    if (mine === 0 && weight > 0) return theirs;
    return theirs === 0 ? mine : (1 - weight) * mine + weight * theirs;
  });
}
