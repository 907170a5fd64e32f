/** Adapter folders: written, read and attached again, and what does not fit the model refused. */
import assert from "node:assert/strict";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { attachStored, readAdapter, saveAdapter } from "../../src/cli/adapter-folder.ts";
import { readAll, Safetensors } from "../../src/io/safetensors.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { sliceModel } from "../../src/pruning/slice.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { lastLogits } from "../support/logits.ts";
import { unevenStructure } from "../support/structures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "../support/tiny-model.ts";

const open = (name: TinyName): Model => loadModel(Engine.create(), tinyFolder(name));

/** With factors that are no zeros. */
function adapt(model: Model): AdaptedModel {
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 2, alpha: 4, targets: "all-linear", dropout: 0 },
    trainHead: true,
    seed: 1,
  });
  for (const { tensor } of adapted.parameters()) {
    tensor.f32.forEach((_, i, view) => (view[i] = Math.sin(i)));
  }
  return adapted;
}

for (const name of ["bert-classify", "llama-tied", "llama-classify"] as const) {
  test(`an adapter of ${name} comes back from its folder with the same logits`, (context) => {
    const folder = temporaryFolder(context);
    const model = open(name);
    const adapted = AdaptedModel.attach(model, {
      lora: {
        rank: 2,
        alpha: 5,
        targets: "all-linear",
        dropout: 0.1,
        rankPattern: { "1\\..*\\.(query|q_proj)": 4 },
        alphaPattern: { "0\\..*\\.(query|q_proj)": 9 },
      },
      trainHead: true,
      seed: 1,
    });
    for (const { tensor } of adapted.parameters()) tensor.f32.fill(0.07);
    const sequences = tinySequences(tinyReference(name));
    const expected = lastLogits(model, sequences);
    saveAdapter(folder, model, adapted.shape, adapted.export(), "a base");

    const stored = readAdapter(folder);
    assert.equal(stored.task, model.task);
    assert.deepEqual(stored.labels, model.task === "classify" ? model.labels : undefined);
    assert.equal(stored.peft.baseModel, "a base");
    const again = open(name);
    const attached = attachStored(again, stored);
    assert.deepEqual(attached.export(), adapted.export());
    assert.deepEqual(lastLogits(again, sequences), expected);
  });
}

test("a pruned model's adapter comes back with its structure and fits no other", (context) => {
  const folder = temporaryFolder(context);
  const structure = unevenStructure(open("llama-tied").shape.units);
  const prune = (): Model => loadModel(Engine.create(), tinyFolder("llama-tied"), { structure });
  const adapted = adapt(prune());
  saveAdapter(folder, adapted.model, adapted.shape, adapted.export(), "a base");
  const stored = readAdapter(folder);
  assert.deepEqual(stored.pruned, { structure, path: join(folder, "structure.json") });
  assert.deepEqual(attachStored(prune(), stored).export(), adapted.export());
  assert.throws(
    () => attachStored(open("llama-tied"), stored),
    (error) =>
      error instanceof CheckpointError &&
      /another structure: .*heads 0, 1 and channels 0, .*, …, got layer 0 with heads 1 and channels 5, by/.test(
        error.message,
      ),
  );
  const whole = adapt(open("llama-tied"));
  saveAdapter(folder, whole.model, whole.shape, whole.export(), "a base");
  assert.equal(readAdapter(folder).pruned, undefined);
});

test("an adapter of the whole model is cut to a pruned one, and one of another base is not", (context) => {
  const folder = temporaryFolder(context);
  const whole = adapt(open("bert-classify"));
  const sequences = tinySequences(tinyReference("bert-classify"));
  saveAdapter(folder, whole.model, whole.shape, whole.export(), "a base");
  const structure = unevenStructure(whole.model.shape.units);
  const prune = (name: TinyName): Model => {
    return loadModel(Engine.create(), tinyFolder(name), { structure });
  };
  sliceModel(whole.model, structure);
  const { model } = attachStored(prune("bert-classify"), readAdapter(folder));
  assert.deepEqual(lastLogits(model, sequences), lastLogits(whole.model, sequences));

  const path = join(folder, "adapter_model.safetensors");
  const file = Safetensors.open(path);
  const tensors = readAll(file);
  file.close();
  for (const name of tensors.keys()) {
    if (name.endsWith("query.lora_B.weight")) tensors.set(name, hostArray([20, 2]));
  }
  writeSafetensors(path, tensors);
  assert.throws(
    () => attachStored(prune("bert-classify"), readAdapter(folder)),
    (error) =>
      error instanceof CheckpointError &&
      /rows of bert\..*0\..*query\.lora_B\.weight: expected 16, .*got 20/.test(error.message),
  );
});

test("tensors that the model has no place for are refused, not left out", (context) => {
  const folder = temporaryFolder(context);
  cpSync(join(tinyFolder("bert-classify"), "adapter"), folder, { recursive: true });
  const path = join(folder, "adapter_model.safetensors");
  const file = Safetensors.open(path);
  const tensors = readAll(file);
  file.close();
  const module = "base_model.model.bert.encoder.layer.7.attention.self.query";
  tensors.set(`${module}.lora_A.weight`, hostArray([3, 16]));
  tensors.set(`${module}.lora_B.weight`, hostArray([16, 3]));
  writeSafetensors(path, tensors);
  assert.throws(
    () => attachStored(open("bert-classify"), readAdapter(folder)),
    (error) =>
      error instanceof CheckpointError &&
      /2 tensors belong to no layer of the model: .*layer\.7\..*lora_A/.test(error.message),
  );
});

test("labels.json must be a list of names, and may be missing", (context) => {
  const folder = temporaryFolder(context);
  cpSync(join(tinyFolder("bert-classify"), "adapter"), folder, { recursive: true });
  assert.equal(readAdapter(folder).labels, undefined);
  const path = join(folder, "labels.json");
  writeFileSync(path, '["a", "b"]');
  assert.deepEqual(readAdapter(folder).labels, ["a", "b"]);
  for (const damaged of ["[]", '{"0": "a"}', "[1, 2]", "nothing"]) {
    writeFileSync(path, damaged);
    assert.throws(
      () => readAdapter(folder),
      (error) => error instanceof CheckpointError && error.message.includes("labels.json"),
    );
  }
  rmSync(path);
  assert.equal(readAdapter(folder).labels, undefined);
});
