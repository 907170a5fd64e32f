/** A linear layer with a slot for an adapter. */
import { linear } from "../autograd/ops/linear.ts";
import type { Tape } from "../autograd/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Init, Parameter, ParameterStore } from "./parameters.ts";

/** Something that takes part in a linear layer's product, such as a LoRA pair. */
export interface LinearAdapter {
  forward(tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | null): Tensor;
  /** Its tensors with a row per output of the layer, and those with a column per input. */
  readonly perOutput: readonly Tensor[];
  readonly perInput: readonly Tensor[];
}

export class Linear {
  /** Module name without ".weight", as adapters and PEFT files name it. */
  readonly name: string;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  adapter: LinearAdapter | null = null;

  constructor(name: string, weight: Parameter, bias: Parameter | null) {
    this.name = name;
    this.weight = weight;
    this.bias = bias;
  }

  /** [out, in] weights and, when asked for, [out] bias from the store. */
  static take(
    store: ParameterStore,
    name: string,
    inputs: number,
    outputs: number,
    options: {
      bias: boolean;
      init: Init;
      optional?: boolean;
      aliases?: readonly string[];
      /** Its weights are held in f32, whatever the format of the base. */
      trained?: boolean;
    },
  ): Linear {
    const optional = options.optional ?? false;
    const suffixed = (suffix: string): string[] =>
      (options.aliases ?? []).map((alias) => alias + suffix);
    const weight = store.take(`${name}.weight`, [outputs, inputs], {
      init: options.init,
      optional,
      trained: options.trained ?? false,
      aliases: suffixed(".weight"),
    });
    const bias = options.bias
      ? store.take(`${name}.bias`, [outputs], {
          init: { kind: "constant", value: 0 },
          optional,
          aliases: suffixed(".bias"),
        })
      : null;
    return new Linear(name, weight, bias);
  }

  /** What loses a row when an output is removed: weight, bias and the adapter's. */
  perOutput(): Tensor[] {
    const bias = this.bias === null ? [] : [this.bias.tensor];
    return [this.weight.tensor, ...bias, ...(this.adapter?.perOutput ?? [])];
  }

  /** What loses a column when an input is removed: weight and the adapter's. */
  perInput(): Tensor[] {
    return [this.weight.tensor, ...(this.adapter?.perInput ?? [])];
  }

  /** x [M, in] -> [M, out]. */
  forward(tape: Tape, x: Tensor): Tensor {
    const bias = this.bias?.tensor ?? null;
    if (this.adapter !== null) return this.adapter.forward(tape, x, this.weight.tensor, bias);
    return linear(tape, x, this.weight.tensor, bias);
  }
}
