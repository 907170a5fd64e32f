/** Sizes of models, made by hand: what counting takes, without files or an engine. */
import type { LinearShape, ModelShape, UnitSpan } from "../../src/base/model-shape.ts";
import type { Structure, UnitKind } from "../../src/base/structure.ts";

export interface ShapeSizes {
  readonly numLayers: number;
  readonly width: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly innerWidth: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly numLabels: number;
}

/** An encoder in BERT's manner: biases everywhere, layer norm, tables of positions, mean pooling. */
export function encoderShape(sizes: ShapeSizes): ModelShape {
  const { width, vocabSize, maxPositions, numLayers, numLabels } = sizes;
  return {
    ...sizesOf(sizes),
    numKvHeads: sizes.numHeads,
    units: { layers: numLayers, heads: sizes.numHeads, ffn: sizes.innerWidth },
    isGated: false,
    causal: false,
    linears: blocks({ ...sizes, numKvHeads: sizes.numHeads }, ["up"], true),
    embeddingParameters: width * (vocabSize + maxPositions + 1),
    normParameters: 2 * width * (2 * numLayers + 1),
    headParameters: numLabels * (width + 1),
    trainedHeadParameters: numLabels * (width + 1),
  };
}

/** A decoder in LLaMA's manner: no biases, RMS norm, rotary positions, gated MLP, tied logits. */
export function decoderShape(sizes: ShapeSizes): ModelShape {
  const { width, vocabSize, numLayers, numLabels } = sizes;
  return {
    ...sizesOf(sizes),
    isGated: true,
    causal: true,
    linears: blocks(sizes, ["gate", "up"], false),
    embeddingParameters: width * vocabSize,
    normParameters: width * (2 * numLayers + 1),
    headParameters: numLabels * width,
    trainedHeadParameters: numLabels * width,
  };
}

/** The first so many units of every layer. */
export function firstUnits({ units }: ModelShape, heads: number, ffn: number): Structure {
  const range = (count: number): number[] => Array.from({ length: count }, (_, id) => id);
  const layer = { heads: range(heads), ffn: range(ffn) };
  return { layers: Array.from({ length: units.layers }, () => layer) };
}

function sizesOf(sizes: ShapeSizes) {
  const { numLayers, numKvHeads, innerWidth, ...rest } = sizes;
  return {
    ...rest,
    numKvHeads,
    innerWidth,
    headSize: sizes.width / sizes.numHeads,
    units: { layers: numLayers, heads: numKvHeads, ffn: innerWidth },
  };
}

function blocks(sizes: ShapeSizes, wide: readonly string[], bias: boolean): LinearShape[] {
  const { numLayers, width, numHeads, numKvHeads, innerWidth } = sizes;
  const D = width / numHeads;
  return Array.from({ length: numLayers }, (_, layer) => {
    const span = (kind: UnitKind, size: number): UnitSpan => ({ kind, layer, size });
    const named = (name: string) => ({ name: `layers.${layer}.${name}`, layer, bias });
    const group = width / numKvHeads;
    return [
      { ...named("query"), outputs: width, inputs: width, rows: span("heads", group) },
      { ...named("key"), outputs: numKvHeads * D, inputs: width, rows: span("heads", D) },
      { ...named("value"), outputs: numKvHeads * D, inputs: width, rows: span("heads", D) },
      { ...named("output"), outputs: width, inputs: width, cols: span("heads", group) },
      ...wide.map((name) => ({
        ...named(name),
        outputs: innerWidth,
        inputs: width,
        rows: span("ffn", 1),
      })),
      { ...named("down"), outputs: width, inputs: innerWidth, cols: span("ffn", 1) },
    ];
  }).flat();
}
