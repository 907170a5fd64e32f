/** Activation score: how large what a unit puts out is on average, over the tokens of a step. */
import type { Scorer, ScorerFactory } from "./scorer.ts";
import { activationSize, addTo, forEachGroup, zeroScores } from "./unit-linears.ts";

/** Mean over tokens of the sum of |a| over the unit's elements; needs no gradient. */
export const activationScorer: ScorerFactory = ({ model }): Scorer => {
  const { engine } = model;
  let sums = zeroScores(model);
  let numTokens = 0;
  return {
    observer: {
      unitActivations(layer, kind, tensor, batch) {
        const B = batch.offsets.length - 1;
        const S = activationSize(model, kind);
        const U = tensor.cols / S;
        const sizes = engine.empty([B, U]);
        const offsets = engine.integers(batch.offsets);
        engine.kernels.unitAbsSumsF32(sizes.ptr, tensor.ptr, offsets.ptr, B, 0, U, S);
        const view = sizes.f32;
        for (let b = 0; b < B; b++) addTo(sums[layer]?.[kind], view.subarray(b * U, (b + 1) * U));
        // Every layer sees the same tokens: they are counted once.
        if (layer === 0 && kind === "heads") numTokens += batch.ids.length;
      },
    },
    afterBackward: () => undefined,
    take() {
      const scores = sums;
      forEachGroup(scores, (values) => {
        for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) / numTokens;
      });
      sums = zeroScores(model);
      numTokens = 0;
      return scores;
    },
  };
};
