/** Floating-point operations of matrix products: multiplications and additions count one each. */
import type { ModelShape } from "../base/model-shape.ts";
import { trainingStep, type StepSetup } from "./step.ts";

/** Operations of one pass in each direction. */
export interface StepFlops {
  readonly forward: number;
  readonly backward: number;
}

/**
 * A training step of frozen weights with LoRA pairs. Counted: linear layers and head 2MNK forward and 2MNK for the
 * gradient of their inputs down to the lowest trained layer (of a vocabulary both in the forward pass), pairs and
 * trained heads with their weights' gradients, attention scores 4BHT²D forward and 10BHT²D backward; with
 * recomputation the forward work of the blocks once more. Not counted: norms, activations, softmax, embeddings, the
 * optimiser.
 */
export function stepFlops(shape: ModelShape, setup: StepSetup): StepFlops {
  let [forward, backward] = [0, 0];
  for (const part of trainingStep(shape, setup)) {
    if (part.kind === "tensor") continue;
    for (const operation of part.kind === "layer" ? part.operations : [part.operation]) {
      forward += operation.forward.flops;
      backward += operation.backward?.flops ?? 0;
      if (part.kind === "layer" && part.runsAgain) backward += operation.forward.flops;
    }
  }
  return { forward, backward };
}
