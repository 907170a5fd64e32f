/** How many parameters a model, a structure, a unit and an adapter have. */
import type { LinearShape, ModelShape, UnitSpan } from "../base/model-shape.ts";
import { fullStructure, type Structure, type UnitKind } from "../base/structure.ts";
import { matchesTarget, type TargetPattern } from "../base/target-pattern.ts";

/** What is left of a linear layer: N outputs and K inputs. */
export interface KeptSize {
  readonly outputs: number;
  readonly inputs: number;
}

export function keptSize(linear: LinearShape, structure: Structure): KeptSize {
  const left = (span: UnitSpan | undefined, all: number): number =>
    span === undefined ? all : (structure.layers[span.layer]?.[span.kind].length ?? 0) * span.size;
  return {
    outputs: left(linear.rows, linear.outputs),
    inputs: left(linear.cols, linear.inputs),
  };
}

/** Weights and biases of the blocks' linear layers: the part that pruning shrinks. */
export function bodyParameters(shape: ModelShape, structure: Structure): number {
  return sum(shape.linears, (linear) => {
    const { outputs, inputs } = keptSize(linear, structure);
    return outputs * inputs + (linear.bias ? outputs : 0);
  });
}

/** Body, embeddings, norms and head. */
export function wholeParameters(shape: ModelShape, structure: Structure): number {
  const { embeddingParameters, normParameters, headParameters } = shape;
  return bodyParameters(shape, structure) + embeddingParameters + normParameters + headParameters;
}

/** Share of the body's parameters that is gone, in [0, 1): what "sparsity" means everywhere else. */
export function bodySparsity(shape: ModelShape, structure: Structure): number {
  return 1 - bodyParameters(shape, structure) / bodyParameters(shape, fullStructure(shape.units));
}

/** Share of all parameters that is gone; smaller than the body's, since embeddings and head stay. */
export function wholeSparsity(shape: ModelShape, structure: Structure): number {
  return 1 - wholeParameters(shape, structure) / wholeParameters(shape, fullStructure(shape.units));
}

/**
 * Parameters that leave with one unit: for a head its rows of query, key and value with their
 * biases and its columns of the output; for a channel its row of up (and gate) and its column of down.
 */
export function unitParameters(shape: ModelShape, kind: UnitKind): number {
  return sum(shape.linears, ({ layer, rows, cols, inputs, outputs, bias }) => {
    if (layer !== 0) return 0;
    if (rows?.kind === kind) return rows.size * (inputs + (bias ? 1 : 0));
    return cols?.kind === kind ? cols.size * outputs : 0;
  });
}

/** Which layers have an adapter, and of which rank. */
export interface AdapterSetup {
  readonly structure: Structure;
  readonly targets: TargetPattern;
  readonly rank: number;
}

/** The layers that the targets select. */
export function adaptedLinears(shape: ModelShape, targets: TargetPattern): LinearShape[] {
  return shape.linears.filter(({ name }) => matchesTarget(name, targets));
}

/** Parameters of all LoRA pairs, a [R, K] and b [N, R], sliced to the structure. */
export function adapterParameters(shape: ModelShape, setup: AdapterSetup): number {
  return sum(adaptedLinears(shape, setup.targets), (linear) => {
    const { outputs, inputs } = keptSize(linear, setup.structure);
    return setup.rank * (outputs + inputs);
  });
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
