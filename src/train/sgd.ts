/** Stochastic gradient descent with momentum and L2 decay, in PyTorch's form. */
import type { NamedArrays } from "../base/arrays.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Moments } from "./moments.ts";
import type { Optimizer, TrainedTensor } from "./optimizer.ts";

export interface SgdConfig {
  readonly momentum: number;
  readonly weightDecay: number;
}

export class Sgd implements Optimizer {
  readonly name = "sgd";
  readonly #engine: Engine;
  readonly #trained: readonly TrainedTensor[];
  readonly #config: SgdConfig;
  readonly #moments: Moments;
  #step = 0;

  constructor(engine: Engine, trained: readonly TrainedTensor[], config: SgdConfig) {
    this.#engine = engine;
    this.#trained = trained;
    this.#config = config;
    this.#moments = new Moments(engine, trained, ["momentum"]);
  }

  update(rate: number, gradientScale: number): void {
    this.#step++;
    const { momentum, weightDecay } = this.#config;
    for (const { name, tensor, gradient } of this.#trained) {
      this.#engine.kernels.sgdF32(
        tensor.ptr,
        this.#moments.get(name, "momentum").ptr,
        gradient.ptr,
        tensor.size,
        rate,
        momentum,
        weightDecay,
        gradientScale,
      );
    }
  }

  momentsOf(name: string): Tensor[] {
    return this.#moments.of(name);
  }

  export(): { step: number; moments: NamedArrays } {
    return { step: this.#step, moments: this.#moments.export() };
  }

  restore({ step, moments }: { step: number; moments: NamedArrays }): void {
    this.#moments.restore(moments);
    this.#step = step;
  }

  dispose(): void {
    this.#moments.dispose();
  }
}
