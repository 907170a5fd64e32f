/** The sizes of a model and where its prunable units stand, for those who count and slice without an engine. */
import type { Owned } from "./adapter.ts";
import type { Structure, UnitCounts, UnitKind } from "./structure.ts";

/** How the units of one kind and layer stand in a linear layer: unit u has rows or columns u·size … u·size + size - 1. */
export interface UnitSpan {
  readonly kind: UnitKind;
  readonly layer: number;
  /** Outputs or inputs per unit. */
  readonly size: number;
}

/** One linear layer of the transformer's blocks. */
export interface LinearShape {
  /** Module name as in checkpoints and adapters, without ".weight". */
  readonly name: string;
  readonly layer: number;
  readonly outputs: number;
  readonly inputs: number;
  readonly bias: boolean;
  /** The units that its rows, or that its columns, belong to. A layer is pruned on one side only. */
  readonly rows?: UnitSpan;
  readonly cols?: UnitSpan;
}

/** Everything that counting parameters, operations and bytes takes. */
export interface ModelShape {
  readonly vocabSize: number;
  readonly width: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly innerWidth: number;
  readonly maxPositions: number;
  readonly isGated: boolean;
  readonly causal: boolean;
  /** Units of an unpruned layer. */
  readonly units: UnitCounts;
  /** The linear layers of all blocks, in the order of execution within each. */
  readonly linears: readonly LinearShape[];
  /** Parameters outside the blocks' linear layers: embeddings and norms. */
  readonly embeddingParameters: number;
  readonly normParameters: number;
  /** Parameters of the layers behind the last block: classifier with `numLabels` outputs, pooler; tied decoders count 0. */
  readonly headParameters: number;
  /** Those among them that training the head changes: not a pooler that came with the checkpoint, none of a language model. */
  readonly trainedHeadParameters: number;
  readonly numLabels: number;
}

/** Which outputs and inputs of a linear layer are left under a structure. */
export function ownedOf(
  linear: LinearShape,
  structure: Structure,
): { readonly rows?: Owned; readonly cols?: Owned } {
  const { rows, cols, outputs, inputs } = linear;
  return {
    ...(rows === undefined ? {} : { rows: owned(rows, structure, outputs) }),
    ...(cols === undefined ? {} : { cols: owned(cols, structure, inputs) }),
  };
}

function owned({ kind, layer, size }: UnitSpan, structure: Structure, of: number): Owned {
  const ids = structure.layers[layer]?.[kind] ?? [];
  const indices: number[] = [];
  // Loops, for a coordinator does this for every layer of every update.
  for (const id of ids) for (let i = 0; i < size; i++) indices.push(id * size + i);
  return { indices, of };
}
