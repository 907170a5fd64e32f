/** The BERT family: the suite of all families, its heads and older checkpoint names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "../support/all-close.ts";
import { familySuite } from "../support/family-suite.ts";
import { lastLogits } from "../support/logits.ts";
import { copyTinyModel, readTensors, tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

for (const name of ["bert-classify", "bert-masked"] as const) {
  familySuite({
    name,
    weight: { name: "bert.encoder.layer.0.attention.self.query.weight", shape: [16, 16] },
    unsupported: {
      key: "position_embedding_type",
      value: "relative_key",
      named: /position_embedding_type: expected one of absolute, got "relative_key"/,
    },
  });
}

const sequences = tinySequences(tinyReference("bert-classify"));

test("gamma and beta of older checkpoints are read as weight and bias", (context) => {
  const folder = copyTinyModel("bert-classify", temporaryFolder(context), {
    tensors(tensors) {
      for (const [name, values] of [...tensors]) {
        if (!name.includes("LayerNorm")) continue;
        tensors.delete(name);
        tensors.set(name.replace(/weight$/, "gamma").replace(/bias$/, "beta"), values);
      }
    },
  });
  const expected = lastLogits(loadModel(Engine.create(), tinyFolder("bert-classify")), sequences);
  assert.deepEqual(lastLogits(loadModel(Engine.create(), folder), sequences), expected);
});

test("an encoder without a head gets a fresh one, and with it the pooler that is missing", () => {
  const labels = ["yes", "no"];
  const load = (headSeed: number) =>
    loadModel(Engine.create(), tinyFolder("bert-masked"), { task: "classify", labels, headSeed });
  const model = load(1);
  assert.deepEqual(model.labels, labels);
  assert.deepEqual(
    model.headModules().map(({ name }) => name),
    ["bert.pooler.dense", "classifier"],
  );
  assert.deepEqual(lastLogits(load(1), sequences), lastLogits(model, sequences));
  assert.notDeepEqual(lastLogits(load(2), sequences), lastLogits(model, sequences));
});

test("a classifier keeps the pooler that its checkpoint brought", () => {
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"));
  assert.deepEqual(
    model.headModules().map(({ name }) => name),
    ["classifier"],
  );
  assert.deepEqual(model.labels, ["cold", "hot", "wet"]);
});

test("an untied masked model has output weights of its own", (context) => {
  const folder = temporaryFolder(context);
  const name = "cls.predictions.decoder.weight";
  const embedding = "bert.embeddings.word_embeddings.weight";
  const config = { tie_word_embeddings: false };
  const rows = tinySequences(tinyReference("bert-masked"));
  const load = () => lastLogits(loadModel(Engine.create(), folder), rows);
  copyTinyModel("bert-masked", folder, { config });
  assert.throws(load, new RegExp(`tensor ${name} is missing`));
  copyTinyModel("bert-masked", folder, {
    config,
    tensors: (tensors) => tensors.set(name, tensors.get(embedding) ?? hostArray([40, 16])),
  });
  const tied = lastLogits(loadModel(Engine.create(), tinyFolder("bert-masked")), rows);
  assert.deepEqual(load(), tied);
  copyTinyModel("bert-masked", folder, {
    config,
    tensors: (tensors) => tensors.set(name, hostArray([40, 16])),
  });
  const bias = readTensors(folder).get("cls.predictions.bias")?.data;
  assert.deepEqual(load(), [bias, bias, bias]);
});

test("mean pooling averages the tokens of a row and needs no pooler", (context) => {
  const folder = copyTinyModel("bert-masked", temporaryFolder(context), {
    config: { classifier_pooling: "mean" },
  });
  const engine = Engine.create();
  const model = loadModel(engine, folder, { task: "classify", labels: ["yes", "no"] });
  assert.deepEqual(
    model.headModules().map(({ name }) => name),
    ["classifier"],
  );
  const [first] = tinyReference("bert-masked").hidden_states_of_row_0.slice(-1);
  const [head] = model.headModules();
  const weight = head?.weight.tensor.toHost() ?? new Float32Array(0);
  const width = 16;
  const mean = Array.from(
    { length: width },
    (_, c) => (first ?? []).reduce((sum, row) => sum + (row[c] as number), 0) / (first?.length ?? 1),
  );
  const expected = [0, 1].map((label) =>
    mean.reduce((sum, value, c) => sum + value * (weight[label * width + c] as number), 0),
  );
  assertAllClose(lastLogits(model, sequences)[0] ?? [], expected, 1e-4, "logits");
});
