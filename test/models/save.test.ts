/** Pruned models in their stored forms: the same logits, the right sizes, and what does not fit is refused. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import { encodeStructure, intersection, isFull, type Structure } from "../../src/base/structure.ts";
import { readJsonObject, writeJson } from "../../src/io/json.ts";
import { loadModel } from "../../src/models/load.ts";
import { saveModel } from "../../src/models/save.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "../support/all-close.ts";
import { lastLogits } from "../support/logits.ts";
import { must } from "../support/must.ts";
import { anyStructure, unevenStructure } from "../support/structures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { readTensors, tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";

const names = ["bert-classify", "bert-masked", "llama-untied"] as const;

for (const name of names) {
  test(`${name}: every structure gives its logits back from both forms`, (t) => {
    const folder = temporaryFolder(t);
    const sequences = tinySequences(tinyReference(name));
    const { units } = loadModel(Engine.create(), tinyFolder(name)).shape;
    fc.assert(
      fc.property(anyStructure(units), (structure) => {
        const model = loadModel(Engine.create(), tinyFolder(name), { structure });
        const wanted = lastLogits(model, sequences);
        for (const form of ["dense", "compact"] as const) {
          saveModel(model, folder, { dtype: "F32", form });
          const read = loadModel(Engine.create(), folder);
          const isWhole = isFull(read.structure, units);
          assert.equal(isWhole, form === "dense" || isFull(structure, units));
          lastLogits(read, sequences).forEach((logits, i) =>
            assertAllClose(logits, must(wanted[i]), 1e-5, `${form}, row ${i}`),
          );
        }
      }),
      { numRuns: 15 },
    );
  });
}

test("the dense form holds the base's values, and zeros where units are gone", (t) => {
  const folder = temporaryFolder(t);
  const base = readTensors(tinyFolder("bert-classify"));
  const { units } = loadModel(Engine.create(), tinyFolder("bert-classify")).shape;
  const structure = unevenStructure(units);
  saveModel(loadModel(Engine.create(), tinyFolder("bert-classify"), { structure }), folder, {
    dtype: "F32",
  });
  const dense = readTensors(folder);
  let zeros = 0;
  for (const [name, { data, shape }] of dense) {
    const original = must(base.get(name), name);
    assert.deepEqual(shape, original.shape);
    data.forEach((value, i) => {
      if (value === 0 && original.data[i] !== 0) zeros++;
      else assert.equal(value, original.data[i], `${name}[${i}]`);
    });
  }
  const whole = loadModel(Engine.create(), tinyFolder("bert-classify"));
  const pruned = loadModel(Engine.create(), tinyFolder("bert-classify"), { structure });
  const size = (model: typeof whole): number =>
    model.store.all().reduce((sum, { tensor }) => sum + tensor.size, 0);
  assert.equal(zeros, size(whole) - size(pruned));
  assert.equal(readJsonObject(join(folder, "config.json"))["fedspine_structure"], undefined);
});

test("the compact form is as small as the model, and can be pruned further", (t) => {
  const [first, second] = [join(temporaryFolder(t), "a"), join(temporaryFolder(t), "b")];
  const { units } = loadModel(Engine.create(), tinyFolder("llama-tied")).shape;
  const structure = unevenStructure(units);
  const model = loadModel(Engine.create(), tinyFolder("llama-tied"), { structure });
  saveModel(model, first, { dtype: "F32", form: "compact" });
  const config = readJsonObject(join(first, "config.json"));
  assert.equal(config["fedspine_structure"], encodeStructure(structure, units));
  const bytes = (folder: string): number => statSync(join(folder, "model.safetensors")).size;
  assert.ok(bytes(first) < bytes(tinyFolder("llama-tied")));
  const narrower: Structure = intersection(structure, {
    layers: structure.layers.map(({ heads, ffn }) => ({ heads, ffn: ffn.slice(0, 3) })),
  });
  const read = loadModel(Engine.create(), first, { structure: narrower });
  saveModel(read, second, { dtype: "F32", form: "compact" });
  const again = loadModel(Engine.create(), second);
  assert.deepEqual(again.structure, narrower);
  const direct = loadModel(Engine.create(), tinyFolder("llama-tied"), { structure: narrower });
  const sequences = tinySequences(tinyReference("llama-tied"));
  assert.deepEqual(lastLogits(again, sequences), lastLogits(direct, sequences));
});

test("an unpruned model has one form, without a structure", (t) => {
  const folder = temporaryFolder(t);
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"));
  saveModel(model, folder, { dtype: "F32", form: "compact" });
  assert.equal(readJsonObject(join(folder, "config.json"))["fedspine_structure"], undefined);
  assert.deepEqual(readTensors(folder), readTensors(tinyFolder("bert-classify")));
});

test("what a compact folder does not hold is refused, and so is a structure that its weights do not have", (t) => {
  const folder = temporaryFolder(t);
  const { units } = loadModel(Engine.create(), tinyFolder("bert-classify")).shape;
  const structure = unevenStructure(units);
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"), { structure });
  saveModel(model, folder, { dtype: "F32", form: "compact" });
  const other = { layers: structure.layers.map(() => ({ heads: [0], ffn: [0] })) };
  assert.throws(
    () => loadModel(Engine.create(), folder, { structure: other }),
    (error) => error instanceof ConfigError && /units that .* does not hold/.test(error.message),
  );
  const path = join(folder, "config.json");
  const config = readJsonObject(path);
  writeJson(path, { ...config, fedspine_structure: encodeStructure(other, units) });
  assert.throws(
    () => loadModel(Engine.create(), folder),
    (error) =>
      error instanceof CheckpointError &&
      /another shape.*those of the units that are left/s.test(error.message),
  );
  for (const bad of ["", "zz", 7, { layers: [] }]) {
    writeJson(path, { ...config, fedspine_structure: bad });
    assert.throws(() => loadModel(Engine.create(), folder), /config\.json/);
  }
});
