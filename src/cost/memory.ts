/** Bytes that the engine holds while it trains, by its own regions. */
import { bytesOf, type BaseDtype } from "../base/base-dtype.ts";
import type { ModelShape } from "../base/model-shape.ts";
import type { Structure } from "../base/structure.ts";
import { adaptedLinears, keptSize } from "./parameters.ts";
import { lineBytes, stepPeakBytes, tensorBytes } from "./replay.ts";
import { trainingStep, type StepSetup } from "./step.ts";
import { traitsOf } from "./traits.ts";

/** As `engine.stats` reports them. */
export interface TrainingMemory {
  /** Frozen weights and head. */
  readonly weights: number;
  /** Adapter, gradients, and both moments of AdamW. */
  readonly state: number;
  /** Largest extent of activations, their gradients and scratch within a step. */
  readonly step: number;
  /** The sum: the largest memory of the tensor engine, linear memory's growth in whole blocks aside. */
  readonly peak: number;
}

export function trainingMemory(shape: ModelShape, setup: StepSetup): TrainingMemory {
  const weights = weightBytes(shape, setup.structure, setup.baseDtype);
  const state = stateBytes(shape, setup);
  const step = stepPeakBytes(trainingStep(shape, setup));
  return { weights, state, step, peak: weights + state + step };
}

/** All parameters, matrices that nobody trains in the given format and the rest in float32, and the tables of rotary positions. */
function weightBytes(
  shape: ModelShape,
  structure: Structure,
  dtype: BaseDtype = "f32",
): number {
  const { width, embeddingParameters, normParameters, maxPositions, headSize } = shape;
  const { headParameters, trainedHeadParameters } = shape;
  const stored = (rows: number, cols: number): number => lineBytes(bytesOf(dtype, rows, cols));
  const frozenHead = headParameters - trainedHeadParameters;
  let bytes =
    stored(embeddingParameters / width, width) +
    stored(Math.ceil(frozenHead / width), width) +
    tensorBytes(normParameters + trainedHeadParameters);
  for (const each of shape.linears) {
    const { outputs, inputs } = keptSize(each, structure);
    bytes += stored(outputs, inputs) + (each.bias ? tensorBytes(outputs) : 0);
  }
  const halfTable = traitsOf(shape).hasPositionTable ? 0 : maxPositions * (headSize / 2);
  return bytes + 2 * (halfTable === 0 ? 0 : tensorBytes(halfTable));
}

/** Pairs four times over (values, gradient, two moments), a trained head three times: its values are weights. */
function stateBytes(shape: ModelShape, { structure, targets, rank, trainHead }: StepSetup): number {
  let bytes = 0;
  for (const each of adaptedLinears(shape, targets)) {
    const { outputs, inputs } = keptSize(each, structure);
    bytes += 4 * (tensorBytes(rank * inputs) + tensorBytes(outputs * rank));
  }
  return bytes + (trainHead ? 3 * tensorBytes(shape.trainedHeadParameters) : 0);
}
