/** Linear and norm layers: names, shapes, the adapter slot, and values against plain arithmetic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import { hostArray, type HostArray } from "../../src/base/arrays.ts";
import { CheckpointError, ShapeError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/linear.ts";
import { Norm } from "../../src/nn/norm.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import { inMemory } from "../../src/nn/source.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "../support/all-close.ts";

const engine = Engine.create();
const init = { kind: "normal", std: 1 } as const;

function storeOf(tensors: Record<string, HostArray>): ParameterStore {
  return new ParameterStore(engine, {
    source: {
      origin: "a test",
      open: (name) => {
        const host = tensors[name];
        return host && inMemory(host);
      },
    },
  });
}

const array = (shape: number[], ...values: number[]): HostArray =>
  hostArray(shape, Float32Array.from(values));

/** The layer's output for one row. */
function forward(layer: Pick<Linear, "forward">, ...row: number[]): number[] {
  return engine.step(() => {
    const tape = new Tape(engine, { recording: false });
    return [...layer.forward(tape, engine.fromHost(array([1, row.length], ...row))).f32];
  });
}

const weights = {
  "up.weight": array([2, 3], 1, 2, 3, 4, 5, 6),
  "up.bias": array([2], 0.5, -0.5),
};

test("a linear layer is x W^T + b, with or without a bias", () => {
  const biased = Linear.take(storeOf(weights), "up", 3, 2, { bias: true, init });
  assert.deepEqual(forward(biased, 1, 0, -1), [-1.5, -2.5]);
  const plain = Linear.take(storeOf(weights), "up", 3, 2, { bias: false, init });
  assert.deepEqual(forward(plain, 1, 0, -1), [-2, -2]);
  assert.equal(plain.bias, null);
});

test("a linear layer's aliases cover weight and bias, and its sizes are checked", () => {
  const options = { bias: true, init, aliases: ["up"] };
  const aliased = Linear.take(storeOf(weights), "layer.up", 3, 2, options);
  assert.deepEqual(forward(aliased, 0, 0, 0), [0.5, -0.5]);
  assert.equal(aliased.weight.name, "layer.up.weight");
  const swapped = { bias: true, init };
  assert.throws(() => Linear.take(storeOf(weights), "up", 2, 3, swapped), CheckpointError);
  assert.throws(() => forward(aliased, 1, 2), ShapeError);
});

test("an adapter takes the product over, and the layer is itself again without it", () => {
  const layer = Linear.take(storeOf(weights), "up", 3, 2, { bias: true, init });
  const [perRow, perCol] = [layer.perOutput(), layer.perInput()];
  assert.deepEqual(perRow, [layer.weight.tensor, layer.bias?.tensor]);
  assert.deepEqual(perCol, [layer.weight.tensor]);
  const factor = layer.weight.tensor.reshape([3, 2]);
  layer.adapter = {
    perOutput: [factor],
    perInput: [factor],
    forward(tape, x, weight, bias) {
      assert.deepEqual([x.cols, weight.shape, bias?.size], [3, [2, 3], 2]);
      return tape.engine.zeros([x.rows, weight.rows]);
    },
  };
  assert.deepEqual(forward(layer, 1, 0, -1), [0, 0]);
  assert.deepEqual(layer.perOutput(), [...perRow, factor]);
  assert.deepEqual(layer.perInput(), [...perCol, factor]);
  layer.adapter = null;
  assert.deepEqual(forward(layer, 1, 0, -1), [-1.5, -2.5]);
});

test("layer norm centres, RMS norm does not, and each takes the parameters it has", () => {
  const tensors = { "n.weight": array([4], 1, 1, 2, 1), "n.bias": array([4], 0, 1, 0, 0) };
  const row = [3, 1, -2, 6];
  const store = storeOf(tensors);
  const centred = Norm.take(store, "n", 4, { kind: "layer", eps: 0 });
  assert.equal(store.all().length, 2);
  const std = Math.sqrt((1 + 1 + 16 + 16) / 4);
  assertAllClose(
    forward(centred, ...row),
    [1 / std, -1 / std + 1, -8 / std, 4 / std],
    1e-6,
    "layer",
  );
  const rmsStore = storeOf(tensors);
  const rms = Norm.take(rmsStore, "n", 4, { kind: "rms", eps: 0 });
  assert.equal(rmsStore.all().length, 1);
  const root = Math.sqrt((9 + 1 + 4 + 36) / 4);
  assertAllClose(forward(rms, ...row), [3 / root, 1 / root, -4 / root, 6 / root], 1e-6, "rms");
});
