/**
 * Mask-gradient Fisher score: how much the loss of each sample would change if a unit were faded out, squared.
 * Source: head importance by mask gradients (Michel et al. 2019), squared per sample as in the diagonal
 * Fisher information of masks (Kwon et al. 2022).
 */
import type { Tensor } from "../../tensor/tensor.ts";
import type { TokenBatch } from "../../models/transformer.ts";
import type { UnitKind } from "../../base/structure.ts";
import type { Scorer, ScorerFactory } from "./scorer.ts";
import { activationSize, addTo, forEachGroup, zeroScores } from "./unit-linears.ts";

interface Seen {
  readonly layer: number;
  readonly kind: UnitKind;
  readonly tensor: Tensor;
  readonly batch: TokenBatch;
}

/**
 * A multiplier z = 1 in front of what a unit puts out, a, has the gradient g = sum over tokens of <a, dL/da>:
 * the signed Taylor sum over the unit's columns of the layer behind it, without any gradient of base weights.
 * The score is the mean over the step's samples of g²; squared per sample, because signed sums over a batch
 * cancel. L is the loss of one sample, so the 1 / B of the mean loss is undone.
 */
export const fisherScorer: ScorerFactory = ({ model }): Scorer => {
  const { engine } = model;
  let sums = zeroScores(model);
  let numSamples = 0;
  let seen: Seen[] = [];
  const squares = ({ kind, tensor, batch }: Seen, gradient: Tensor): Float64Array => {
    const B = batch.offsets.length - 1;
    const S = activationSize(model, kind);
    const U = tensor.cols / S;
    const dots = engine.empty([B, U]);
    const offsets = engine.integers(batch.offsets);
    const { unitDotsF32 } = engine.kernels;
    unitDotsF32(dots.ptr, tensor.ptr, gradient.ptr, offsets.ptr, B, 0, U, S);
    const totals = new Float64Array(U);
    dots.f32.forEach((dot, i) => {
      totals[i % U] = (totals[i % U] ?? 0) + (B * dot) ** 2;
    });
    return totals;
  };
  return {
    observer: {
      unitActivations: (layer, kind, tensor, batch) => {
        seen.push({ layer, kind, tensor, batch });
      },
    },
    afterBackward(tape) {
      numSamples += (seen[0]?.batch.offsets.length ?? 1) - 1;
      for (const activation of seen) {
        const gradient = tape.gradient(activation.tensor);
        if (gradient === undefined) continue;
        addTo(sums[activation.layer]?.[activation.kind], squares(activation, gradient));
      }
      seen = [];
    },
    take() {
      const scores = sums;
      forEachGroup(scores, (values) => {
        for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) / numSamples;
      });
      sums = zeroScores(model);
      numSamples = 0;
      return scores;
    },
  };
};
