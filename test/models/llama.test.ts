/** The LLaMA family: the suite of all families, rotary settings and tied weights. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckpointError } from "../../src/base/errors.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { familySuite } from "../support/family-suite.ts";
import { lastLogits } from "../support/logits.ts";
import { copyTinyModel, tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const queryRows = { "llama-tied": 16, "llama-untied": 24, "llama-classify": 16 } as const;
for (const name of ["llama-tied", "llama-untied", "llama-classify"] as const) {
  familySuite({
    name,
    weight: { name: "model.layers.0.self_attn.q_proj.weight", shape: [queryRows[name], 16] },
    unsupported: {
      key: "rope_scaling",
      value: { rope_type: "llama3", factor: 8 },
      named: /rope_scaling: rope_type: expected one of default, got "llama3"/,
    },
  });
}

const sequences = tinySequences(tinyReference("llama-tied"));
const expected = lastLogits(loadModel(Engine.create(), tinyFolder("llama-tied")), sequences);
const loadWith = (folder: string, config: Record<string, unknown>) =>
  lastLogits(loadModel(Engine.create(), copyTinyModel("llama-tied", folder, { config })), sequences);

test("the rotary base is read in the old place and in the new one", (context) => {
  const folder = temporaryFolder(context);
  const old = { rope_parameters: null, rope_theta: 500, rope_scaling: null };
  assert.deepEqual(loadWith(folder, old), expected);
  const other = { rope_parameters: { rope_type: "default", rope_theta: 600 }, rope_theta: 500 };
  assert.notDeepEqual(loadWith(folder, other), expected);
  assert.deepEqual(loadWith(folder, { rope_scaling: { type: "default" } }), expected);
});

test("settings of the rotary positions that are not implemented are refused", (context) => {
  const folder = temporaryFolder(context);
  const refused = (config: Record<string, unknown>, pattern: RegExp) => {
    assert.throws(
      () => loadWith(folder, config),
      (error) => error instanceof CheckpointError && pattern.test(error.message),
    );
  };
  refused({ rope_parameters: { rope_type: "yarn" } }, /rope_parameters: rope_type: .*got "yarn"/);
  refused({ rope_scaling: { type: "linear", factor: 2 } }, /rope_scaling: type: .*got "linear"/);
  refused({ rope_parameters: { partial_rotary_factor: 0.5 } }, /partial_rotary_factor/);
  refused({ rope_parameters: 500 }, /rope_parameters: expected an object, got 500/);
  refused({ head_dim: 5 }, /expected an even head size, got 5/);
  refused({ num_key_value_heads: 3 }, /num_key_value_heads .*expected a divisor of 4, got 3/);
});

test("a tied model ignores a stored copy of its output weights, an untied one needs them", (context) => {
  const folder = temporaryFolder(context);
  copyTinyModel("llama-tied", folder, {
    tensors(tensors) {
      const embedding = tensors.get("model.embed_tokens.weight");
      if (embedding !== undefined) tensors.set("lm_head.weight", embedding);
    },
  });
  assert.deepEqual(lastLogits(loadModel(Engine.create(), folder), sequences), expected);
  copyTinyModel("llama-untied", folder, { tensors: (tensors) => tensors.delete("lm_head.weight") });
  assert.throws(() => loadModel(Engine.create(), folder), /tensor lm_head\.weight is missing/);
});

test("a language model becomes a classifier with a fresh head on its last token", () => {
  const model = loadModel(Engine.create(), tinyFolder("llama-tied"), {
    task: "classify",
    labels: ["a", "b"],
  });
  assert.deepEqual(
    model.headModules().map(({ name }) => name),
    ["score"],
  );
  const [before] = lastLogits(model, [{ ids: [2, 9, 4] }]);
  const [after] = lastLogits(model, [{ ids: [2, 9, 5] }]);
  assert.notDeepEqual(before, after);
});

test("a task that the family has no head for is refused", () => {
  assert.throws(
    () => loadModel(Engine.create(), tinyFolder("llama-tied"), { task: "masked-lm" }),
    (error) =>
      error instanceof CheckpointError &&
      /llama cannot masked-lm: expected causal-lm or classify, got masked-lm/.test(error.message),
  );
});
