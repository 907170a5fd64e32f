/** AdamW (Loshchilov and Hutter 2017), in PyTorch's form: decoupled decay, bias-corrected moments. */
import type { NamedArrays } from "../base/arrays.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Moments } from "./moments.ts";
import type { Optimizer, TrainedTensor } from "./optimizer.ts";

export interface AdamWConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

export const ADAMW_DEFAULTS: AdamWConfig = {
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.01,
};

export class AdamW implements Optimizer {
  readonly name = "adamw";
  readonly #engine: Engine;
  readonly #rows: readonly (TrainedTensor & { readonly mean: Tensor; readonly square: Tensor })[];
  readonly #config: AdamWConfig;
  readonly #moments: Moments;
  #step = 0;

  constructor(engine: Engine, trained: readonly TrainedTensor[], config: AdamWConfig) {
    this.#engine = engine;
    this.#config = config;
    this.#moments = new Moments(engine, trained, ["exp_avg", "exp_avg_sq"]);
    this.#rows = trained.map((each) => ({
      ...each,
      mean: this.#moments.get(each.name, "exp_avg"),
      square: this.#moments.get(each.name, "exp_avg_sq"),
    }));
  }

  update(rate: number, gradientScale: number): void {
    this.#step++;
    const { beta1, beta2, eps, weightDecay } = this.#config;
    const correction1 = 1 - Math.pow(beta1, this.#step);
    const correction2 = 1 - Math.pow(beta2, this.#step);
    for (const { tensor, gradient, mean, square } of this.#rows) {
      this.#engine.kernels.adamWF32(
        tensor.ptr,
        mean.ptr,
        square.ptr,
        gradient.ptr,
        tensor.size,
        rate,
        beta1,
        beta2,
        eps,
        weightDecay,
        correction1,
        correction2,
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
