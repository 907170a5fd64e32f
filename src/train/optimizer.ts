/** What the trainer needs of an optimiser: one update of every trained tensor, and a state that can be saved. */
import type { NamedArrays } from "../base/arrays.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A trained tensor with its accumulated gradient, both in the state region. */
export interface TrainedTensor {
  readonly name: string;
  readonly tensor: Tensor;
  readonly gradient: Tensor;
}

export interface Optimizer {
  readonly name: string;
  /** Updates every tensor from its gradient times `gradientScale`, at learning rate `rate`. */
  update(rate: number, gradientScale: number): void;
  /** The moments of a trained tensor, each of its shape. */
  momentsOf(name: string): readonly Tensor[];
  /** A copy of the moments, by name, and the number of updates so far. */
  export(): { step: number; moments: NamedArrays };
  /** Restores what {@link export} returned. Throws CheckpointError when it does not fit. */
  restore(state: { step: number; moments: NamedArrays }): void;
  /** Frees the moments. */
  dispose(): void;
}
