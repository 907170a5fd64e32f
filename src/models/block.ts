/** One layer of the stack: attention and MLP, each with as many units as pruning has left it. */
import { Linear } from "../nn/linear.ts";
import { Norm } from "../nn/norm.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import type { Architecture, LinearRole, ParameterNames } from "./architecture.ts";
import { linearSizes } from "./shape.ts";

export class Block {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly attentionOutput: Linear;
  readonly attentionNorm: Norm;
  readonly gate: Linear | null;
  readonly up: Linear;
  readonly down: Linear;
  readonly mlpNorm: Norm;
  readonly #headSize: number;

  /** Takes the parameters of layer `layerIndex` from the store. */
  constructor(
    store: ParameterStore,
    architecture: Architecture,
    names: ParameterNames,
    layerIndex: number,
  ) {
    const { width, norm, headSize, initStd } = architecture;
    const init = { kind: "normal", std: initStd } as const;
    const sizes = linearSizes(architecture);
    const named = (template: string): string => template.replace("{i}", String(layerIndex));
    const take = (role: LinearRole, template: string): Linear => {
      const { inputs, outputs, bias } = sizes[role];
      return Linear.take(store, named(template), inputs, outputs, { bias, init });
    };
    this.query = take("query", names.query);
    this.key = take("key", names.key);
    this.value = take("value", names.value);
    this.attentionOutput = take("attentionOutput", names.attentionOutput);
    this.attentionNorm = Norm.take(store, named(names.attentionNorm), width, norm);
    this.gate = names.gate === undefined ? null : take("gate", names.gate);
    this.up = take("up", names.up);
    this.down = take("down", names.down);
    this.mlpNorm = Norm.take(store, named(names.mlpNorm), width, norm);
    this.#headSize = headSize;
  }

  /** Query heads left. */
  get numHeads(): number {
    return this.query.weight.tensor.rows / this.#headSize;
  }

  /** Key-value heads left. */
  get numKvHeads(): number {
    return this.key.weight.tensor.rows / this.#headSize;
  }

  /** Inner channels left. */
  get innerWidth(): number {
    return this.up.weight.tensor.rows;
  }

  /** The linear layers, in the order of execution. */
  linears(): Linear[] {
    const { query, key, value, attentionOutput, gate, up, down } = this;
    return [query, key, value, attentionOutput, gate, up, down].filter((layer) => layer !== null);
  }
}
