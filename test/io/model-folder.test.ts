/** Model folders: what is found, and what a user is told when it is not. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { writeJson } from "../../src/io/json.ts";
import { openModelFolder } from "../../src/io/model-folder.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { fixture } from "../support/fixtures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("a folder of Hugging Face transformers gives its configuration and weights", () => {
  const { config, weights } = openModelFolder(fixture("peft-bert", "base"));
  assert.equal(config["model_type"], "bert");
  assert.deepEqual(weights.read("bert.embeddings.word_embeddings.weight")?.shape, [20, 8]);
  weights.close();
});

test("a sharded folder is read through its index", (context) => {
  const folder = temporaryFolder(context);
  writeJson(join(folder, "config.json"), {});
  writeSafetensors(join(folder, "one.safetensors"), new Map([["w", hostArray([1])]]));
  writeJson(join(folder, "model.safetensors.index.json"), { weight_map: { w: "one.safetensors" } });
  const { weights } = openModelFolder(folder);
  assert.deepEqual([...weights.tensors.keys()], ["w"]);
  weights.close();
});

test("what is missing is named, and a pickled checkpoint is told apart", (context) => {
  const folder = temporaryFolder(context);
  const refuses = (path: string, pattern: RegExp) => {
    assert.throws(
      () => openModelFolder(path),
      (error) => error instanceof CheckpointError && pattern.test(error.message),
    );
  };
  refuses(join(folder, "absent"), /no model folder at .*absent/);
  refuses(folder, /config\.json/);
  writeJson(join(folder, "config.json"), {});
  refuses(folder, /no weights in .*config\.json/s);
  writeFileSync(join(folder, "pytorch_model.bin"), "");
  refuses(folder, /safe_serialization/);
});
