/** Per-parameter optimiser state in the state region, saved and restored by name. */
import { shapeText, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TrainedTensor } from "./optimizer.ts";

export class Moments {
  readonly #engine: Engine;
  readonly #byName = new Map<string, Tensor>();

  /** One zeroed tensor per trained tensor and suffix. */
  constructor(engine: Engine, trained: readonly TrainedTensor[], suffixes: readonly string[]) {
    this.#engine = engine;
    for (const { name, tensor } of trained) {
      for (const suffix of suffixes) {
        this.#byName.set(`${name}.${suffix}`, engine.zeros(tensor.shape, "state"));
      }
    }
  }

  get(name: string, suffix: string): Tensor {
    return this.#byName.get(`${name}.${suffix}`) as Tensor;
  }

  export(): NamedArrays {
    return new Map(
      [...this.#byName].map(([name, tensor]) => [
        name,
        { shape: tensor.shape, data: tensor.toHost() },
      ]),
    );
  }

  restore(values: NamedArrays): void {
    for (const [name, tensor] of this.#byName) {
      const host = values.get(name);
      if (host === undefined || shapeText(host.shape) !== shapeText(tensor.shape)) {
        throw new CheckpointError(`optimiser state ${name}`, {
          expected: shapeText(tensor.shape),
          got: host === undefined ? "nothing of that name" : shapeText(host.shape),
        });
      }
      tensor.f32.set(host.data);
    }
  }

  dispose(): void {
    for (const tensor of this.#byName.values()) this.#engine.free(tensor);
    this.#byName.clear();
  }
}
