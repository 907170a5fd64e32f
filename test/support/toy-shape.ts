/** The smallest model with heads and inner channels: the layers of `LAYERS`, described for those who slice and count. */
import type { ModelShape } from "../../src/base/model-shape.ts";
import type { HeadShapes } from "../../src/coordinator/update-layout.ts";
import { HEAD, LAYERS } from "./adapters.ts";

/** One block: 3 heads of 2 query rows each, 9 inner channels of one column of `down` each. */
export const TOY_SHAPE: ModelShape = {
  vocabSize: 20,
  width: 5,
  numHeads: 3,
  numKvHeads: 3,
  headSize: 2,
  innerWidth: 9,
  maxPositions: 16,
  isGated: false,
  causal: false,
  units: { layers: 1, heads: 3, ffn: 9 },
  linears: LAYERS.map(({ name, numOutputs, numInputs }) => ({
    name,
    layer: 0,
    outputs: numOutputs,
    inputs: numInputs,
    bias: false,
    ...(name.endsWith("query")
      ? { rows: { kind: "heads" as const, layer: 0, size: 2 } }
      : { cols: { kind: "ffn" as const, layer: 0, size: 1 } }),
  })),
  embeddingParameters: 5 * (20 + 16),
  normParameters: 30,
  headParameters: 15,
  trainedHeadParameters: 15,
  numLabels: 3,
};

export const TOY_HEADS: HeadShapes = new Map([[HEAD.name, HEAD.shape]]);
