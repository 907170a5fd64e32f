/** What the sizes of a model say about its build, beyond the numbers themselves. */
import type { ModelShape } from "../base/model-shape.ts";

export interface Traits {
  /** Layer norm has weight and bias and stands behind a block, as in BERT; RMS norm has a weight and stands before, as in LLaMA. */
  readonly hasLayerNorm: boolean;
  /** Positions are a table that is added once, else keys and queries turn (RoPE). */
  readonly hasPositionTable: boolean;
  readonly hasTokenTypes: boolean;
  readonly isClassifier: boolean;
  /** A dense layer of width C stands between the body and the logits: pooler or prediction transform. */
  readonly hasHeadDense: boolean;
}

/** Every block has two norms, and the stack one more. */
export function traitsOf(shape: ModelShape): Traits {
  const { width, vocabSize, maxPositions, embeddingParameters, numLabels } = shape;
  const tableRows = embeddingParameters / width - vocabSize;
  const isClassifier = numLabels > 0;
  const hasLayerNorm = shape.normParameters / width > 2 * shape.units.layers + 1;
  return {
    hasLayerNorm,
    hasPositionTable: tableRows >= maxPositions,
    hasTokenTypes: tableRows > maxPositions,
    isClassifier,
    hasHeadDense: isClassifier
      ? shape.headParameters >= width * width + numLabels * width
      : hasLayerNorm,
  };
}
