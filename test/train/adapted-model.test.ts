/** Adapter and head together: what is trained, exported, loaded and left behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import type { Structure } from "../../src/base/structure.ts";
import { loadModel, type LoadModelOptions } from "../../src/models/load.ts";
import { cutAdapter } from "../../src/models/units.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { tinyFolder, type TinyName } from "../support/tiny-model.ts";

function adapt(name: TinyName, trainHead: boolean, options: LoadModelOptions = {}): AdaptedModel {
  return AdaptedModel.attach(loadModel(Engine.create(), tinyFolder(name), options), {
    lora: { rank: 2, alpha: 4, targets: ["query", "q_proj"], dropout: 0 },
    trainHead,
    seed: 1,
  });
}

const headNames = (adapted: AdaptedModel): string[] =>
  [...adapted.export().keys()].filter((name) => !name.includes(".lora_"));

test("a trained head is exported after the factors, a frozen one is not", () => {
  assert.deepEqual(headNames(adapt("bert-classify", true)), [
    "classifier.weight",
    "classifier.bias",
  ]);
  assert.deepEqual(headNames(adapt("bert-classify", false)), []);
  assert.deepEqual(headNames(adapt("llama-classify", true)), ["score.weight"]);
  assert.deepEqual(headNames(adapt("llama-tied", true)), []);
  assert.equal(adapt("llama-tied", true).trainHead, false);
});

test("a fresh pooler is trained and exported with the classifier", () => {
  const adapted = adapt("bert-masked", true, { task: "classify", labels: ["a", "b"] });
  assert.deepEqual(headNames(adapted), [
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "classifier.weight",
    "classifier.bias",
  ]);
});

test("load puts an export back, head included, also where the head is not trained", () => {
  const source = adapt("bert-classify", true);
  for (const { tensor } of source.parameters()) tensor.f32.fill(0.125);
  const values = source.export();
  for (const trainHead of [true, false]) {
    const target = adapt("bert-classify", trainHead);
    target.load(values, "a test");
    assert.deepEqual(target.lora.export(), source.lora.export());
    const classifier = target.model.store.get("classifier.weight");
    assert.ok(classifier?.tensor.f32.every((value) => value === 0.125));
  }
});

test("factors without a head leave the head as it is", () => {
  const adapted = adapt("bert-classify", true);
  const before = adapted.export().get("classifier.weight");
  adapted.load(adapted.lora.export(), "a test");
  assert.deepEqual(adapted.export().get("classifier.weight"), before);
});

test("a head for other classes is refused by name", () => {
  const adapted = adapt("bert-classify", true);
  const values = adapted.export();
  values.set("classifier.weight", hostArray([5, 16]));
  assert.throws(
    () => adapted.load(values, "update-7"),
    (error) =>
      error instanceof CheckpointError &&
      /update-7: tensor classifier\.weight .*expected \[3, 16\], got \[5, 16\]/.test(error.message),
  );
});

test("the shape names suffixes as given and spells patterns out", () => {
  const { model, shape } = adapt("llama-tied", false);
  assert.deepEqual(shape, {
    rank: 2,
    alpha: 4,
    targets: ["query", "q_proj"],
    dropout: 0,
    rankPattern: {},
    alphaPattern: {},
  });
  const other = AdaptedModel.attach(loadModel(Engine.create(), tinyFolder("llama-tied")), {
    lora: { rank: 2, alpha: 4, targets: ".*1\\.mlp\\.(up|down)_proj", dropout: 0 },
    trainHead: false,
    seed: 1,
  });
  assert.deepEqual(other.shape.targets, [
    "model.layers.1.mlp.up_proj",
    "model.layers.1.mlp.down_proj",
  ]);
  assert.equal(model.linears().length, 14);
});

test("detaching gives the factors' memory back and keeps a trained head", () => {
  const adapted = adapt("bert-classify", true);
  const { model } = adapted;
  model.store.get("classifier.bias")?.tensor.f32.fill(3);
  adapted.detach();
  assert.equal(model.engine.stats.state, 0);
  assert.ok(model.linears().every(({ adapter }) => adapter === null));
  assert.ok(model.store.get("classifier.bias")?.tensor.f32.every((value) => value === 3));
});

test("fresh A factors are nested: a smaller rank has the first rows, a pruned model the columns that are left", () => {
  const attach = (rank: number, structure?: Structure): AdaptedModel =>
    AdaptedModel.attach(
      loadModel(
        Engine.create(),
        tinyFolder("bert-classify"),
        structure === undefined ? {} : { structure },
      ),
      { lora: { rank, alpha: rank, targets: "all-linear", dropout: 0 }, trainHead: false, seed: 4 },
    );
  const whole = attach(4);
  const { shape } = whole.model;
  const layer = { heads: [shape.units.heads - 1], ffn: [0, 3, 5] };
  const structure = { layers: Array.from({ length: shape.units.layers }, () => layer) };
  const expected = cutAdapter(whole.lora.export(), shape, structure, "a test");
  for (const [name, { shape: sides, data }] of attach(2, structure).lora.export()) {
    if (!name.endsWith("lora_A.weight")) continue;
    const [, cols = 0] = sides;
    assert.deepEqual(data, expected.get(name)?.data.slice(0, 2 * cols), name);
  }
});
