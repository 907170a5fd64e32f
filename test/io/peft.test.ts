/** PEFT adapters: files that PEFT wrote, round trips, bare files, and what is refused. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArray, type NamedArrays } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { readJsonObject, writeJson } from "../../src/io/json.ts";
import { readPeftAdapter, writePeftAdapter, type PeftAdapter } from "../../src/io/peft.ts";
import { Safetensors } from "../../src/io/safetensors.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { fixture } from "../support/fixtures.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const written = fixture("peft-bert", "adapter");
const query0 = "bert.encoder.layer.0.attention.self.query";
const value0 = "bert.encoder.layer.0.attention.self.value";
const query1 = "bert.encoder.layer.1.attention.self.query";
const value1 = "bert.encoder.layer.1.attention.self.value";

const adapter: PeftAdapter = {
  rank: 2,
  alpha: 4,
  targets: ["q_proj"],
  rankPattern: { "model.layers.1.self_attn.q_proj": 1 },
  alphaPattern: { "model.layers.1.self_attn.q_proj": 3 },
  dropout: 0.05,
  taskType: "CAUSAL_LM",
  modulesToSave: ["score"],
  baseModel: "tiny",
  tensors: new Map([
    [
      "model.layers.0.self_attn.q_proj.lora_A.weight",
      hostArray(
        [2, 4],
        Float32Array.from({ length: 8 }, (_, i) => i),
      ),
    ],
    ["model.layers.0.self_attn.q_proj.lora_B.weight", hostArray([3, 2])],
    ["model.layers.1.self_attn.q_proj.lora_A.weight", hostArray([1, 4])],
    ["model.layers.1.self_attn.q_proj.lora_B.weight", hostArray([3, 1])],
    ["score.weight", hostArray([2, 4])],
  ]),
};

/** A copy of the adapter that PEFT wrote, with some fields of its configuration changed. */
function changed(folder: string, fields: Record<string, unknown>): string {
  cpSync(written, folder, { recursive: true });
  const path = join(folder, "adapter_config.json");
  writeJson(path, { ...readJsonObject(path), ...fields });
  return folder;
}

test("an adapter that PEFT wrote is read with its patterns resolved to modules", () => {
  const { tensors, ...settings } = readPeftAdapter(written);
  assert.deepEqual(settings, {
    rank: 2,
    alpha: 6,
    targets: ["value", "query"],
    rankPattern: { [query1]: 3 },
    alphaPattern: { [value0]: 5 },
    dropout: 0.1,
    taskType: "SEQ_CLS",
    modulesToSave: ["classifier", "score"],
    baseModel: "random-bert",
  });
  assert.deepEqual(tensors.get(`${query1}.lora_A.weight`)?.shape, [3, 8]);
  assert.deepEqual(tensors.get("classifier.weight")?.shape, [3, 8]);
  assert.equal(tensors.size, 10);
});

test("an adapter that PEFT wrote keeps its keys and values when written again", (context) => {
  const folder = join(temporaryFolder(context), "again");
  writePeftAdapter(folder, readPeftAdapter(written));
  const first = Safetensors.open(join(written, "adapter_model.safetensors"));
  const second = Safetensors.open(join(folder, "adapter_model.safetensors"));
  assert.deepEqual([...second.tensors.keys()].sort(), [...first.tensors.keys()].sort());
  for (const name of first.tensors.keys()) assert.deepEqual(second.read(name), first.read(name));
  first.close();
  second.close();
});

test("every field of an adapter comes back", (context) => {
  const folder = temporaryFolder(context);
  writePeftAdapter(folder, adapter);
  const back = readPeftAdapter(folder);
  assert.deepEqual(back, adapter);
  assert.deepEqual(readPeftAdapter(join(folder, "adapter_model.safetensors")), adapter);
});

test("float16 is kept in the file and read back as the rounded values", (context) => {
  const folder = temporaryFolder(context);
  writePeftAdapter(folder, adapter, { dtype: "F16" });
  const file = Safetensors.open(join(folder, "adapter_model.safetensors"));
  assert.equal(file.tensors.get("base_model.model.score.weight")?.dtype, "F16");
  file.close();
  assert.deepEqual(readPeftAdapter(folder), adapter);
});

test("a rank-stabilised adapter gets the alphas that give the same scale", (context) => {
  const folder = changed(temporaryFolder(context), { use_rslora: true });
  const { alpha, rank, alphaPattern } = readPeftAdapter(folder);
  const scale = (module: string, r: number) => (alphaPattern[module] ?? alpha) / r;
  assert.equal(rank, 2);
  assert.ok(Math.abs(scale(query0, 2) - 6 / Math.sqrt(2)) < 1e-12);
  assert.ok(Math.abs(scale(value0, 2) - 5 / Math.sqrt(2)) < 1e-12);
  assert.ok(Math.abs(scale(query1, 3) - 6 / Math.sqrt(3)) < 1e-12);
});

test("targets that are no plain list of suffixes are resolved to the modules", (context) => {
  const folder = temporaryFolder(context);
  const modules = [query0, value0, query1, value1];
  for (const fields of [
    { target_modules: ".*\\.(query|value)" },
    { target_modules: "all-linear", exclude_modules: ["key"] },
    { target_modules: ["query", "value"], layers_to_transform: [0, 1] },
    { target_modules: null },
  ]) {
    assert.deepEqual([...readPeftAdapter(changed(folder, fields)).targets].sort(), modules);
  }
});

test("a raw state dict's adapter and wrapper names are left out", (context) => {
  const path = join(temporaryFolder(context), "raw.safetensors");
  const tensors: NamedArrays = new Map([
    [`base_model.model.${query0}.lora_A.default.weight`, hostArray([1, 2])],
    [`base_model.model.${query0}.lora_B.default.weight`, hostArray([2, 1])],
    ["base_model.model.classifier.modules_to_save.default.weight", hostArray([2, 2])],
  ]);
  writeSafetensors(path, tensors);
  const names = [...readPeftAdapter(path, 1).tensors.keys()].sort();
  assert.deepEqual(names, [
    `${query0}.lora_A.weight`,
    `${query0}.lora_B.weight`,
    "classifier.weight",
  ]);
});

test(
  "a bare file of factors is read with the alpha that comes with it",
  { skip: missing("golden") },
  () => {
    for (const [family, alpha] of [
      ["bert", 8],
      ["llama", 8],
    ] as const) {
      const path = join(sharedData, "golden", family, "lora_init.safetensors");
      const bare = readPeftAdapter(path, alpha);
      assert.deepEqual([bare.rank, bare.alpha, bare.modulesToSave], [4, 8, []]);
      assert.equal(bare.tensors.size, 2 * bare.targets.length);
      assert.throws(() => readPeftAdapter(path), /does not state its alpha/);
    }
  },
);

test("variants that compute something else are refused by field", (context) => {
  const folder = temporaryFolder(context);
  for (const [field, value] of [
    ["bias", "all"],
    ["use_dora", true],
    ["fan_in_fan_out", true],
    ["init_lora_weights", "pissa"],
    ["target_parameters", ["experts"]],
    ["peft_type", "IA3"],
    ["r", 0],
    ["lora_alpha", "16"],
    ["rank_pattern", { query: "2" }],
    ["modules_to_save", "classifier"],
  ] as const) {
    assert.throws(
      () => readPeftAdapter(changed(folder, { [field]: value })),
      (error) =>
        error instanceof CheckpointError && error.message.includes(`adapter_config.json: ${field}`),
      field,
    );
  }
});

test("tensors that do not fit the configuration or each other are refused by name", (context) => {
  const folder = temporaryFolder(context);
  const refuses = (tensors: NamedArrays, pattern: RegExp) => {
    writeSafetensors(join(changed(folder, {}), "adapter_model.safetensors"), tensors);
    assert.throws(
      () => readPeftAdapter(folder),
      (error) => error instanceof CheckpointError && pattern.test(error.message),
    );
  };
  const pair = (rank: number, other = rank): [string, ReturnType<typeof hostArray>][] => [
    [`${query0}.lora_A.weight`, hostArray([rank, 8])],
    [`${query0}.lora_B.weight`, hostArray([8, other])],
  ];
  refuses(new Map(pair(4)), /layer\.0.*query\.lora_A.*rank: expected 2 .*got 4/s);
  refuses(new Map(pair(2, 3)), /factors of .*query do not fit.*\[2, 8\] and \[8, 3\]/s);
  refuses(new Map(pair(2).slice(0, 1)), /factors of .*query.*\[2, 8\] and nothing/s);
  refuses(new Map(pair(0)), /factors of .*query/);
  refuses(new Map([["classifier.weight", hostArray([1])]]), /no LoRA factors/);
  refuses(
    new Map([...pair(2), ["embed.weight", hostArray([1])]]),
    /embed\.weight is not accounted for/,
  );
  refuses(
    new Map([...pair(2), [`${query0}.lora_magnitude_vector`, hostArray([8])]]),
    /lora_magnitude_vector is not supported/,
  );
});

test("a pattern that is no regular expression is refused by name", (context) => {
  const folder = changed(temporaryFolder(context), { rank_pattern: { "(?P<x>query)": 3 } });
  assert.throws(() => readPeftAdapter(folder), /adapter_config\.json: pattern \(\?P<x>query\)/);
});
