/** What a device sends back: its adapter as it is after the round, with the structure and the scores that belong to it. */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray, type HostArray, type NamedArrays } from "../../base/arrays.ts";
import type { ModelShape } from "../../base/model-shape.ts";
import { encodeStructure, scoreTensors, unitKinds, type Structure } from "../../base/structure.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../io/adapter-file.ts";
import type { UpdateDtype } from "../../io/adapter-values.ts";
import { scoreAt, type UnitScores } from "../../pruning/unit-scores.ts";
import { type Residual, residualOf, withResidual } from "./residual.ts";

export interface UpdateContent {
  /** Factors of the adapted layers and trained heads, by name. */
  readonly values: NamedArrays;
  readonly modules: readonly string[];
  readonly scale: number;
  readonly shape: ModelShape;
  readonly structure: Structure;
  /** By original id; null for none. */
  readonly scores: UnitScores | null;
  readonly dtype: UpdateDtype;
  /** What the update before could not say; null for nothing. */
  readonly residual: Residual | null;
}

export interface EncodedUpdate {
  readonly bytes: Uint8Array;
  /** What it could not say; null where it says everything. */
  readonly residual: Residual | null;
}

export function encodeUpdate(content: UpdateContent): EncodedUpdate {
  const { values, scale, shape, structure, scores, dtype } = content;
  const modules = content.modules.map((name): LoraModule => {
    const [a, b] = ["A", "B"].map((factor) => values.get(`${name}.lora_${factor}.weight`));
    return { name, a: a as HostArray, b: b as HostArray, scale };
  });
  const heads = new Map([...values].filter(([name]) => !/\.lora_[AB]\.weight$/.test(name)));
  const extras = {
    structureText: encodeStructure(structure, shape.units),
    ...(scores === null ? {} : { scores: scoreArrays(scores, shape, structure) }),
  };
  if (dtype === "f32") {
    return { bytes: encodeAdapterFile({ modules, heads, ...extras }), residual: null };
  }
  const meant = withResidual({ modules, heads }, content.residual, { shape, structure });
  const bytes = encodeAdapterFile({ ...meant, ...extras }, dtype);
  const sent = decodeAdapterFile(bytes, "update", scale);
  return { bytes, residual: residualOf(meant, sent, structure) };
}

/**
 * Tensors [L, units] over original ids, 0 for units that are gone. Divided by their mean over those that are left: gradients
 * of different devices have different sizes, and what counts is what a unit is worth among the others.
 */
function scoreArrays(scores: UnitScores, shape: ModelShape, structure: Structure): NamedArrays {
  const left = structure.layers.flatMap((layer, i) =>
    unitKinds.flatMap((kind) => layer[kind].map((id) => ({ i, kind, id }))),
  );
  const total = left.reduce((sum, { i, kind, id }) => sum + scoreAt(scores, i, kind, id), 0);
  const factor = total === 0 ? 0 : left.length / total;
  const arrays: NamedArrays = new Map(
    unitKinds.map((kind) => [
      scoreTensors[kind],
      hostArray([shape.units.layers, shape.units[kind]]),
    ]),
  );
  for (const { i, kind, id } of left) {
    const data = arrays.get(scoreTensors[kind])?.data;
    if (data !== undefined)
      data[i * shape.units[kind] + id] = factor * scoreAt(scores, i, kind, id);
  }
  return arrays;
}
