/** Head shapes from descriptions: the same tensors that a loaded model trains in full. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readHeadShapes } from "../../src/models/head-shapes.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { fixture } from "../support/fixtures.ts";

const LABELS = ["a", "b", "c"];

for (const name of ["bert-classify", "bert-masked", "llama-classify"]) {
  test(`${name}: names and shapes are those of the loaded model's head`, () => {
    const folder = fixture("tiny", name);
    const model = loadModel(Engine.create(), folder, { task: "classify", labels: LABELS });
    const loaded = model.headParameters().map(({ name, tensor }) => [name, tensor.shape]);
    assert.deepEqual([...readHeadShapes(folder, LABELS)], loaded);
  });
}
