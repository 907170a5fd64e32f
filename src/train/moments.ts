/** Per-parameter optimiser state in the state region, saved and restored by name. */
import type { NamedArrays } from "../base/arrays.ts";
import type { Engine } from "../tensor/engine.ts";
import { copyToHost, overwrite, type NamedTensor } from "../tensor/named-tensors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TrainedTensor } from "./optimizer.ts";

export class Moments {
  readonly #engine: Engine;
  readonly #suffixes: readonly string[];
  readonly #byName = new Map<string, Tensor>();

  /** One zeroed tensor per trained tensor and suffix. */
  constructor(engine: Engine, trained: readonly TrainedTensor[], suffixes: readonly string[]) {
    this.#engine = engine;
    this.#suffixes = suffixes;
    for (const { name, tensor } of trained) {
      for (const suffix of suffixes) {
        this.#byName.set(`${name}.${suffix}`, engine.zeros(tensor.shape, "state"));
      }
    }
  }

  get(name: string, suffix: string): Tensor {
    return this.#byName.get(`${name}.${suffix}`) as Tensor;
  }

  /** All moments of one trained tensor. */
  of(name: string): Tensor[] {
    return this.#suffixes.map((suffix) => this.get(name, suffix));
  }

  export(): NamedArrays {
    return copyToHost(this.#named());
  }

  restore(values: NamedArrays): void {
    overwrite(this.#named(), values, { what: (name) => `optimiser state ${name}` });
  }

  dispose(): void {
    for (const tensor of this.#byName.values()) this.#engine.free(tensor);
    this.#byName.clear();
  }

  #named(): NamedTensor[] {
    return Array.from(this.#byName, ([name, tensor]) => ({ name, tensor }));
  }
}
