/** The linear layers of a model with the units that their rows or columns belong to. */
import type { UnitSpan } from "../../base/model-shape.ts";
import { unitKinds, type UnitKind } from "../../base/structure.ts";
import type { Model } from "../../models/model.ts";
import type { Linear } from "../../nn/linear.ts";
import type { UnitScores } from "../unit-scores.ts";

export interface UnitLinear {
  readonly linear: Linear;
  /** Which dimension of the weight [out, in] the units divide. */
  readonly side: "rows" | "cols";
  readonly span: UnitSpan;
}

/** Every linear layer that pruning cuts, in order. */
export function unitLinears(model: Model): UnitLinear[] {
  const byName = new Map(model.linears().map((linear) => [linear.name, linear]));
  return model.shape.linears.flatMap(({ name, rows, cols }): UnitLinear[] => {
    const linear = byName.get(name);
    if (linear === undefined) return [];
    if (rows !== undefined) return [{ linear, side: "rows", span: rows }];
    return cols === undefined ? [] : [{ linear, side: "cols", span: cols }];
  });
}

/** Elements of a unit in a row of what the model's observer is shown. */
export function activationSize(model: Model, kind: UnitKind): number {
  return model.shape.linears.find(({ cols }) => cols?.kind === kind)?.cols?.size ?? 1;
}

/** One zero per unit that is left. */
export function zeroScores({ structure }: Model): UnitScores {
  return structure.layers.map((layer) => ({
    heads: new Float64Array(layer.heads.length),
    ffn: new Float64Array(layer.ffn.length),
  }));
}

/** Calls `action` for each layer and kind. */
export function forEachGroup(
  scores: UnitScores,
  action: (values: Float32Array | Float64Array, layer: number, kind: UnitKind) => void,
): void {
  scores.forEach((layer, i) => {
    for (const kind of unitKinds) action(layer[kind], i, kind);
  });
}

/** sums[i] += factor values[i] */
export function addTo(
  sums: Float32Array | Float64Array | undefined,
  values: ArrayLike<number>,
  factor = 1,
): void {
  if (sums === undefined) return;
  for (let i = 0; i < sums.length; i++) {
    sums[i] = (sums[i] ?? 0) + factor * (values[i] ?? 0);
  }
}
