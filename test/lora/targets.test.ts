/** Which layers a target pattern selects, by PEFT's rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import { patternValue, selectTargets } from "../../src/lora/targets.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { tinyFolder } from "../support/tiny-model.ts";

const linears = loadModel(Engine.create(), tinyFolder("llama-tied")).linears();
const selected = (pattern: string | readonly string[]): string[] =>
  selectTargets(linears, pattern).map(({ name }) => name);

test("names select every layer whose last parts they are, in the model's order", () => {
  assert.deepEqual(selected(["v_proj", "q_proj"]), [
    "model.layers.0.self_attn.q_proj",
    "model.layers.0.self_attn.v_proj",
    "model.layers.1.self_attn.q_proj",
    "model.layers.1.self_attn.v_proj",
  ]);
  assert.deepEqual(selected(["1.mlp.up_proj"]), ["model.layers.1.mlp.up_proj"]);
  assert.deepEqual(selected(["model.layers.0.mlp.up_proj"]), ["model.layers.0.mlp.up_proj"]);
});

test("a name is no mere end of a word", () => {
  assert.throws(() => selected(["proj"]), ConfigError);
});

test("a single text is a regular expression over the whole name", () => {
  assert.deepEqual(selected(".*layers\\.1\\.self_attn\\.[qk]_proj"), [
    "model.layers.1.self_attn.q_proj",
    "model.layers.1.self_attn.k_proj",
  ]);
  assert.throws(() => selected("layers"), ConfigError);
});

test("all-linear selects the seven layers of every block", () => {
  assert.equal(selected("all-linear").length, 14);
});

test("a pattern that selects nothing is refused with the names there are", () => {
  assert.throws(
    () => selected(["query"]),
    (error) =>
      error instanceof ConfigError &&
      /expected one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj/.test(
        error.message,
      ) &&
      /got query/.test(error.message),
  );
});

test("a pattern's value applies to the modules whose names end with it", () => {
  const patterns = { "layers.1.self_attn.q_proj": 3, "self_attn.v_proj": 5 };
  assert.equal(patternValue("model.layers.1.self_attn.q_proj", patterns, 2), 3);
  assert.equal(patternValue("model.layers.0.self_attn.q_proj", patterns, 2), 2);
  assert.equal(patternValue("model.layers.0.self_attn.v_proj", patterns, 2), 5);
  assert.equal(patternValue("self_attn.v_proj", patterns, 2), 5);
  assert.equal(patternValue("cross_self_attn.v_proj", patterns, 2), 2);
});
