/** What an importance score is: it watches optimiser steps and says after each what every unit was worth. */
import type { Tape } from "../../autograd/tape.ts";
import type { Model } from "../../models/model.ts";
import type { UnitObserver } from "../../models/transformer.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { UnitScores } from "../unit-scores.ts";

/** Scores for one model as long as its structure and its adapters stay as they are. */
export interface Scorer {
  /** To be the model's observer during forward passes; null when activations do not matter. */
  readonly observer: UnitObserver | null;
  /** Called after each backward pass, while its tensors last. */
  afterBackward(tape: Tape): void;
  /**
   * The scores of the step since the last call, over the units that are left, none of them negative. Called
   * inside an engine step, after the gradients of all micro-batches were summed and before the update.
   * `gradientOf` gives the sum for a trained tensor.
   */
  take(gradientOf: (tensor: Tensor) => Tensor | undefined): UnitScores;
}

export interface ScorerOptions {
  readonly model: Model;
  /** Of scores that are drawn. */
  readonly seed: string;
}

export type ScorerFactory = (options: ScorerOptions) => Scorer;
