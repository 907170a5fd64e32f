/** What no family loads: damaged weights and configurations, each refused with file, place, expected and got. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { shard } from "./checkpoint-files.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { copyTinyModel, type ModelEdits, type TinyName } from "./tiny-model.ts";

export interface FamilyCase {
  readonly name: TinyName;
  /** A weight that no model of the family can do without, and its shape. */
  readonly weight: { readonly name: string; readonly shape: readonly number[] };
  /** A config.json field that would change what is computed and is not implemented. */
  readonly unsupported: { readonly key: string; readonly value: unknown; readonly named: RegExp };
}

/** Fails unless loading throws a CheckpointError whose text matches every pattern. */
function refuses(folder: string, ...patterns: RegExp[]): void {
  assert.throws(
    () => loadModel(Engine.create(), folder),
    (error) => {
      assert.ok(error instanceof CheckpointError, String(error));
      for (const pattern of patterns) assert.match(error.message, pattern);
      return true;
    },
  );
}

export function familyRefusals(family: FamilyCase): void {
  const { name, weight } = family;
  const copy = (context: TestContext, edits?: ModelEdits): string =>
    copyTinyModel(name, temporaryFolder(context), edits);
  const shape = `\\[${weight.shape.join(", ")}\\]`;

  test(`${name}: a missing tensor is named`, (context) => {
    const folder = copy(context, { tensors: (tensors) => tensors.delete(weight.name) });
    refuses(
      folder,
      /model\.safetensors/,
      new RegExp(`tensor ${weight.name} is missing: expected ${shape}`),
      /got nothing of that name/,
    );
  });

  test(`${name}: a misshapen tensor is named with both shapes`, (context) => {
    const bad = weight.shape.map((side, i) => (i === 0 ? side + 1 : side));
    const folder = copy(context, {
      tensors: (tensors) => tensors.set(weight.name, hostArray(bad)),
    });
    refuses(
      folder,
      /model\.safetensors/,
      new RegExp(`tensor ${weight.name} .*expected ${shape}, got \\[${bad.join(", ")}\\]`),
    );
  });

  test(`${name}: tensors that belong to no layer are named`, (context) => {
    const extra = weight.name.replace(".0.", ".7.");
    assert.notEqual(extra, weight.name);
    const folder = copy(context, {
      tensors: (tensors) => tensors.set(extra, hostArray([2])),
    });
    refuses(
      folder,
      /model\.safetensors/,
      /1 tensors belong to no layer/,
      new RegExp(`got ${extra}`),
    );
  });

  test(`${name}: a truncated weights file is refused`, (context) => {
    const folder = copy(context);
    const path = join(folder, "model.safetensors");
    const { length } = readFileSync(path);
    truncateSync(path, length - 10);
    refuses(folder, /model\.safetensors/, /expected/, /got/);
    truncateSync(path, 20);
    refuses(folder, /model\.safetensors/);
    truncateSync(path, 0);
    refuses(folder, /model\.safetensors/);
  });

  test(`${name}: a missing shard is named`, (context) => {
    const folder = copy(context);
    shard(folder);
    rmSync(join(folder, "model-00002-of-00002.safetensors"));
    refuses(folder, /model-00002-of-00002\.safetensors/);
  });

  const badConfigs: [what: string, fields: Record<string, unknown>, ...patterns: RegExp[]][] = [
    [
      "an unknown model_type",
      { model_type: "gpt2" },
      /expected model_type bert or llama, got "gpt2"/,
    ],
    [
      "no hidden_size",
      { hidden_size: null },
      /hidden_size: expected a whole number|hidden_size: expected a number/,
    ],
    [
      "a text for a size",
      { num_hidden_layers: "2" },
      /num_hidden_layers: expected a number, got "2"/,
    ],
    [
      "a fraction for a size",
      { intermediate_size: 2.5 },
      /intermediate_size: expected a whole number, got 2.5/,
    ],
    ["a negative size", { vocab_size: -40 }, /vocab_size: expected a whole number, got -40/],
    [
      "heads that do not divide",
      { num_attention_heads: 3, head_dim: null },
      /expected a multiple of 3, got 16/,
    ],
    [
      "an unknown activation",
      { hidden_act: "swish2" },
      /hidden_act: expected one of .*, got "swish2"/,
    ],
    ["too many layers", { num_hidden_layers: 3 }, /tensor .*\.2\..* is missing/],
    ["too few layers", { num_hidden_layers: 1 }, /tensors belong to no layer/],
    ["another width", { hidden_size: 32, head_dim: null }, /expected \[40, 32\], got \[40, 16\]/],
    ["no purpose", { architectures: ["Other"] }, /architectures does not say/, /got \["Other"\]/],
    [
      `an unsupported ${family.unsupported.key}`,
      { [family.unsupported.key]: family.unsupported.value },
      family.unsupported.named,
    ],
  ];
  for (const [what, config, ...patterns] of badConfigs) {
    test(`${name}: config.json with ${what} is refused`, (context) => {
      const folder = copy(context, { config });
      refuses(folder, /config\.json|model\.safetensors/, ...patterns);
    });
  }

  test(`${name}: a config.json that is missing or no JSON is refused`, (context) => {
    const folder = copy(context);
    writeFileSync(join(folder, "config.json"), "{ broken");
    refuses(folder, /config\.json/);
    rmSync(join(folder, "config.json"));
    refuses(folder, /config\.json/);
    refuses(join(folder, "nothing-here"), /no model folder/);
  });

  test(`${name}: loading, refused or not, leaves no file open`, (context) => {
    const openFiles = (): number => readdirSync("/proc/self/fd").length;
    const folder = copy(context);
    const bad = copy(context, { config: { model_type: "other" } });
    const before = openFiles();
    loadModel(Engine.create(), folder);
    loadModel(Engine.create(), folder, { randomWeightsSeed: 1 });
    refuses(bad, /unknown architecture/);
    assert.equal(openFiles(), before);
  });
}
