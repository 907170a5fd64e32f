/** Structured pruning carried out: rows and columns of removed units leave weights, factors, gradients and moments. */
import { ConfigError } from "../base/errors.ts";
import { ownedOf } from "../base/model-shape.ts";
import { checkStructure, unitKinds, type Structure } from "../base/structure.ts";
import type { Model } from "../models/model.ts";
import { keepCols, keepRows } from "../tensor/compact.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Training in progress, such as a Trainer: knows what accompanies a trained tensor in its shape. */
export interface TrainingInProgress {
  /** Gradient and moments of a trained tensor; none for others. */
  statesOf(tensor: Tensor): readonly Tensor[];
}

export interface SliceOptions {
  /** Sliced along, so that training goes on as that of a model whose removed units are masked would. */
  readonly trainer?: TrainingInProgress;
}

/**
 * Takes every unit that is not in `structure` out of the model and of the adapters attached to it, in
 * place; the tensors stay the same objects. Not while a tape is recording. Throws ConfigError, before anything changes, for
 * a structure of another model or with units that are gone.
 */
export function sliceModel(model: Model, structure: Structure, options: SliceOptions = {}): void {
  const { engine, shape } = model;
  checkStructure(structure, shape.units, "structure");
  checkSubset(structure, model.structure);
  const linears = new Map(model.linears().map((linear) => [linear.name, linear]));
  const withStates = (tensors: readonly Tensor[]): Tensor[] =>
    tensors.flatMap((tensor) => [tensor, ...(options.trainer?.statesOf(tensor) ?? [])]);
  for (const each of shape.linears) {
    const linear = linears.get(each.name);
    if (linear === undefined) continue;
    const before = ownedOf(each, model.structure);
    const after = ownedOf(each, structure);
    if (before.rows !== undefined && after.rows !== undefined) {
      const rows = positions(before.rows.indices, after.rows.indices);
      for (const tensor of withStates(linear.perOutput())) keepRows(engine, tensor, rows);
    }
    if (before.cols !== undefined && after.cols !== undefined) {
      const cols = positions(before.cols.indices, after.cols.indices);
      for (const tensor of withStates(linear.perInput())) keepCols(engine, tensor, cols);
    }
  }
  model.structure = structure;
}

function checkSubset(structure: Structure, current: Structure): void {
  structure.layers.forEach((layer, i) => {
    for (const kind of unitKinds) {
      const there = new Set(current.layers[i]?.[kind]);
      const gone = layer[kind].filter((id) => !there.has(id));
      if (gone.length === 0) continue;
      throw new ConfigError(`structure: layer ${i}, ${kind}`, {
        expected: "units that the model still has",
        got: `${gone.slice(0, 8).join(", ")}${gone.length > 8 ? ", …" : ""}, which are gone`,
        hint: "load the model anew to have them back",
      });
    }
  });
}

/** Where each of `kept` stands in `all`; both ascend. */
function positions(all: readonly number[], kept: readonly number[]): number[] {
  const at = new Map(all.map((index, position) => [index, position]));
  return kept.map((index) => at.get(index) as number);
}
