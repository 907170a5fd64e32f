/** Pruning as an oracle: units whose outputs are multiplied by zero in a model that stays whole. */
import { defineOp } from "../../src/autograd/op.ts";
import { linear } from "../../src/autograd/ops/linear.ts";
import type { Tape } from "../../src/autograd/tape.ts";
import { ownedOf } from "../../src/base/model-shape.ts";
import type { Structure } from "../../src/base/structure.ts";
import type { Model } from "../../src/models/model.ts";
import type { LinearAdapter } from "../../src/nn/linear.ts";
import type { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** Puts a mask before every layer that removed units enter; adapters go on behind it. */
export function maskUnits(model: Model, structure: Structure): void {
  const linears = new Map(model.linears().map((layer) => [layer.name, layer]));
  for (const shape of model.shape.linears) {
    const layer = linears.get(shape.name);
    const { cols } = ownedOf(shape, structure);
    if (layer === undefined || cols === undefined) continue;
    const mask = new Float32Array(cols.of);
    for (const index of cols.indices) mask[index] = 1;
    layer.adapter = new MaskedInput(mask, layer.adapter);
  }
}

class MaskedInput implements LinearAdapter {
  readonly perOutput = [];
  readonly perInput = [];
  readonly #mask: Float32Array;
  readonly #inner: LinearAdapter | null;

  constructor(mask: Float32Array, inner: LinearAdapter | null) {
    this.#mask = mask;
    this.#inner = inner;
  }

  forward(tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
    const masked = maskCols(tape, x, this.#mask);
    if (this.#inner === null) return linear(tape, masked, weight, bias);
    return this.#inner.forward(tape, masked, weight, bias);
  }
}

/** x [M, K] times a mask [K] of zeros and ones. */
const maskCols = defineOp({
  inputs: (x: Tensor, _mask: Float32Array) => [x],
  forward({ engine }, x: Tensor, mask: Float32Array) {
    return { out: masked(engine, x, mask), saved: mask };
  },
  backward: (engine, mask, dOut) => [masked(engine, dOut, mask)],
});

function masked(engine: Engine, x: Tensor, mask: Float32Array): Tensor {
  const out = engine.empty(x.shape);
  const [from, to] = [x.f32, out.f32];
  from.forEach((value, i) => (to[i] = value * (mask[i % mask.length] as number)));
  return out;
}
