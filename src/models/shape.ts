/** The sizes of a model from its description: no engine, and of the weights no more than their names. */
import { join } from "node:path";
import type { LinearShape, ModelShape, UnitSpan } from "../base/model-shape.ts";
import { unitKinds, type UnitCounts } from "../base/structure.ts";
import { readJsonObject } from "../io/json.ts";
import { openWeights } from "../io/model-folder.ts";
import type { NormKind } from "../nn/norm.ts";
import {
  linearRoles,
  type Architecture,
  type HeadSpec,
  type LinearRole,
  type ModelFamily,
} from "./architecture.ts";
import { describeConfig, type ModelDescription } from "./description.ts";

export interface LinearSize {
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
}

/** The unpruned sizes of a block's linear layers. */
export function linearSizes(architecture: Architecture): Readonly<Record<LinearRole, LinearSize>> {
  const { width, numHeads, numKvHeads, headSize, innerWidth } = architecture;
  const { attentionBias, mlpBias } = architecture;
  const attention = (inputs: number, outputs: number): LinearSize => ({
    inputs,
    outputs,
    bias: attentionBias,
  });
  const mlp = (inputs: number, outputs: number): LinearSize => ({ inputs, outputs, bias: mlpBias });
  return {
    query: attention(width, numHeads * headSize),
    key: attention(width, numKvHeads * headSize),
    value: attention(width, numKvHeads * headSize),
    attentionOutput: attention(numHeads * headSize, width),
    gate: mlp(width, innerWidth),
    up: mlp(width, innerWidth),
    down: mlp(innerWidth, width),
  };
}

/** Units of an unpruned layer. */
export function unitCounts({ numLayers, numKvHeads, innerWidth }: Architecture): UnitCounts {
  return { layers: numLayers, heads: numKvHeads, ffn: innerWidth };
}

/** The sizes of a described model; a pooler that the checkpoint stores is not trained. */
export function modelShape(
  { family, architecture, head, labels }: ModelDescription,
  isPoolerStored = false,
): ModelShape {
  const { vocabSize, width, numLayers, maxPositions, norm } = architecture;
  const { names } = family;
  const hasPositions = names.positionEmbedding !== undefined;
  const tokenTypes = names.tokenTypeEmbedding === undefined ? 0 : architecture.tokenTypes;
  const wholeModelNorms = [names.embeddingNorm, names.finalNorm].filter(
    (name) => name !== undefined,
  );
  return {
    vocabSize,
    width,
    numHeads: architecture.numHeads,
    numKvHeads: architecture.numKvHeads,
    headSize: architecture.headSize,
    innerWidth: architecture.innerWidth,
    maxPositions,
    isGated: architecture.mlp.kind === "gated",
    causal: architecture.causal,
    units: unitCounts(architecture),
    linears: Array.from({ length: numLayers }, (_, layer) =>
      layerShapes(family, architecture, layer),
    ).flat(),
    embeddingParameters: width * (vocabSize + (hasPositions ? maxPositions : 0) + tokenTypes),
    normParameters: (2 * numLayers + wholeModelNorms.length) * normSize(norm, width),
    headParameters: headParameters(head, architecture, labels.length),
    trainedHeadParameters: trainedHeadParameters(head, architecture, labels.length, isPoolerStored),
    numLabels: labels.length,
  };
}

/**
 * The sizes of the model that a folder's config.json describes, with a look at which weights it stores: as a
 * classifier of `labels` where they are given, else as what `architectures` says. Throws CheckpointError.
 */
export function readModelShape(folder: string, labels?: readonly string[]): ModelShape {
  const path = join(folder, "config.json");
  const purpose = labels === undefined ? {} : ({ task: "classify", labels } as const);
  const description = describeConfig(readJsonObject(path), path, purpose);
  return modelShape(description, isPoolerStored(description, folder));
}

function isPoolerStored({ head, family }: ModelDescription, folder: string): boolean {
  if (head.kind !== "classifier" || head.pooler === undefined) return false;
  const name = `${head.pooler}.weight`;
  const weights = openWeights(folder);
  const isStored = weights.tensors.has(name) || weights.tensors.has(withoutPrefix(name, family));
  weights.close();
  return isStored;
}

function withoutPrefix(name: string, { optionalPrefix }: ModelFamily): string {
  return name.startsWith(optionalPrefix) ? name.slice(optionalPrefix.length) : name;
}

function layerShapes(
  family: ModelFamily,
  architecture: Architecture,
  layer: number,
): LinearShape[] {
  const sizes = linearSizes(architecture);
  const counts = unitCounts(architecture);
  return linearRoles.flatMap((role) => {
    const template = family.names[role];
    if (template === undefined) return [];
    const { inputs, outputs, bias } = sizes[role];
    const span = (side: "rows" | "cols", length: number): UnitSpan | undefined => {
      const kind = unitKinds.find((candidate) => family.units[candidate][side].includes(role));
      return kind && { kind, layer, size: length / counts[kind] };
    };
    const [rows, cols] = [span("rows", outputs), span("cols", inputs)];
    return {
      name: template.replace("{i}", String(layer)),
      layer,
      outputs,
      inputs,
      bias,
      ...(rows === undefined ? {} : { rows }),
      ...(cols === undefined ? {} : { cols }),
    };
  });
}

function normSize({ kind }: NormKind, width: number): number {
  return kind === "layer" ? 2 * width : width;
}

function trainedHeadParameters(
  head: HeadSpec,
  architecture: Architecture,
  numLabels: number,
  isPoolerFrozen: boolean,
): number {
  if (head.kind !== "classifier") return 0;
  const { pooler: _, ...classifier } = head;
  return headParameters(isPoolerFrozen ? classifier : head, architecture, numLabels);
}

function headParameters(
  head: HeadSpec,
  { width, vocabSize, norm }: Architecture,
  numLabels: number,
): number {
  const dense = (outputs: number, bias: boolean): number => outputs * (width + (bias ? 1 : 0));
  if (head.kind === "classifier") {
    return (head.pooler === undefined ? 0 : dense(width, true)) + dense(numLabels, head.bias);
  }
  const transform = head.transform === undefined ? 0 : dense(width, true) + normSize(norm, width);
  const decoder = head.decoder === undefined ? 0 : vocabSize * width;
  return transform + decoder + (head.bias === undefined ? 0 : vocabSize);
}
