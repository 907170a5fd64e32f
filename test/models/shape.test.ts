/** Sizes from config.json alone, against the parameters of loaded models. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { sizeOf } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { ownedOf, type ModelShape } from "../../src/base/model-shape.ts";
import { fullStructure } from "../../src/base/structure.ts";
import { loadModel } from "../../src/models/load.ts";
import { readModelShape } from "../../src/models/shape.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { tinyFolder } from "../support/tiny-model.ts";

const folders = [
  ...(
    ["bert-classify", "bert-masked", "llama-tied", "llama-untied", "llama-classify"] as const
  ).map((name) => ({ name, folder: tinyFolder(name), skip: false })),
  ...["bert-tiny-sst2-encoder/fixture-vocab48", "llama-stories260K"].map((name) => ({
    name,
    folder: join(sharedData, name),
    skip: missing(name),
  })),
];

for (const { name, folder, skip } of folders) {
  test(`${name}: the shape counts every parameter once and has every layer's size`, { skip }, () => {
    const shape = readModelShape(folder);
    const model = loadModel(Engine.create(), folder);
    assert.deepEqual(model.shape, shape);
    const linears = model.linears();
    assert.deepEqual(
      shape.linears.map(({ name: layer, outputs, inputs, bias }) => [layer, outputs, inputs, bias]),
      linears.map(({ name: layer, weight, bias }) => [
        layer,
        ...weight.tensor.shape,
        bias !== null,
      ]),
    );
    const stored = model.store.all().reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0);
    assert.equal(parameterCount(shape), stored);
  });
}

test("a base becomes a classifier of the given labels", () => {
  const plain = readModelShape(tinyFolder("bert-classify"));
  const other = readModelShape(tinyFolder("bert-masked"), ["a", "b", "c", "d"]);
  assert.equal(plain.numLabels, 3);
  assert.equal(other.numLabels, 4);
  assert.equal(other.headParameters - plain.headParameters, plain.width + 1);
  // The classifier's checkpoint has a pooler, which stays; the base has none, so one is trained.
  assert.equal(plain.trainedHeadParameters, 3 * (plain.width + 1));
  assert.equal(other.trainedHeadParameters, other.headParameters);
  assert.throws(
    () => readModelShape(tinyFolder("llama-tied").replace("llama-tied", "gone")),
    (error) => error instanceof CheckpointError && /gone/.test(error.message),
  );
});

test("units of grouped queries are key-value heads, and own rows or columns of six or seven layers", () => {
  const shape = readModelShape(tinyFolder("llama-tied"));
  assert.deepEqual(shape.units, { layers: 2, heads: 2, ffn: 24 });
  const layer = shape.linears.filter((linear) => linear.layer === 1);
  assert.deepEqual(
    layer.map(({ name, rows, cols }) => [name.split(".").at(-1), rows, cols]),
    [
      ["q_proj", { kind: "heads", layer: 1, size: 8 }, undefined],
      ["k_proj", { kind: "heads", layer: 1, size: 4 }, undefined],
      ["v_proj", { kind: "heads", layer: 1, size: 4 }, undefined],
      ["o_proj", undefined, { kind: "heads", layer: 1, size: 8 }],
      ["gate_proj", { kind: "ffn", layer: 1, size: 1 }, undefined],
      ["up_proj", { kind: "ffn", layer: 1, size: 1 }, undefined],
      ["down_proj", undefined, { kind: "ffn", layer: 1, size: 1 }],
    ],
  );
  const [query] = shape.linears;
  assert.ok(query);
  const structure = {
    layers: [{ heads: [1], ffn: [0] }, ...fullStructure(shape.units).layers.slice(1)],
  };
  const rows = { indices: [8, 9, 10, 11, 12, 13, 14, 15], of: 16 };
  assert.deepEqual(ownedOf(query, structure), { rows });
});

function parameterCount(shape: ModelShape): number {
  const { linears, embeddingParameters, normParameters, headParameters } = shape;
  const body = linears.reduce(
    (sum, { outputs, inputs, bias }) => sum + outputs * (inputs + (bias ? 1 : 0)),
    0,
  );
  return body + embeddingParameters + normParameters + headParameters;
}
