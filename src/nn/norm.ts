/** Layer norm or RMS norm, chosen by the architecture's data. */
import { layerNorm } from "../autograd/ops/layer-norm.ts";
import { rmsNorm } from "../autograd/ops/rms-norm.ts";
import type { Tape } from "../autograd/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Parameter, ParameterStore } from "./parameters.ts";

export interface NormKind {
  readonly kind: "layer" | "rms";
  readonly eps: number;
}

export class Norm {
  readonly #eps: number;
  readonly #weight: Parameter;
  readonly #bias: Parameter | null;

  private constructor(eps: number, weight: Parameter, bias: Parameter | null) {
    this.#eps = eps;
    this.#weight = weight;
    this.#bias = bias;
  }

  /** Weight (and, for layer norm, bias) [width] from the store; older checkpoints say gamma and beta. */
  static take(store: ParameterStore, name: string, width: number, { kind, eps }: NormKind): Norm {
    const weight = store.take(`${name}.weight`, [width], {
      init: { kind: "constant", value: 1 },
      aliases: [`${name}.gamma`],
    });
    const bias =
      kind === "layer"
        ? store.take(`${name}.bias`, [width], {
            init: { kind: "constant", value: 0 },
            aliases: [`${name}.beta`],
          })
        : null;
    return new Norm(eps, weight, bias);
  }

  /** x [M, width] -> [M, width]. */
  forward(tape: Tape, x: Tensor): Tensor {
    if (this.#bias === null) return rmsNorm(tape, x, this.#weight.tensor, this.#eps);
    return layerNorm(tape, x, this.#weight.tensor, this.#bias.tensor, this.#eps);
  }
}
