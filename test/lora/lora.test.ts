/** Attaching, merging and detaching adapters, and adapters that PEFT wrote. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { readPeftAdapter } from "../../src/io/peft.ts";
import { Lora, LoraPair, type LoraConfig } from "../../src/lora/lora.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fixture } from "../support/fixtures.ts";
import { lastLogits } from "../support/logits.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "../support/tiny-model.ts";

const CONFIG: LoraConfig = { rank: 3, alpha: 6, targets: "all-linear", dropout: 0 };
const names: readonly TinyName[] = ["bert-classify", "llama-tied", "llama-untied"];

const open = (name: TinyName): Model => loadModel(Engine.create(), tinyFolder(name));
const logitsOf = (model: Model, name: TinyName): Float32Array[] =>
  lastLogits(model, tinySequences(tinyReference(name)));

function attach(model: Model, config: Partial<LoraConfig> = {}): Lora {
  return Lora.attach(model.engine, model.linears(), { ...CONFIG, ...config }, Rng.fromSeed(4));
}

/** Gives every B factor random values, so that the adapter counts. */
function fillFactors(lora: Lora): void {
  const rng = Rng.fromSeed(5);
  for (const { tensor } of lora.parameters()) {
    const view = tensor.f32;
    for (let i = 0; i < view.length; i++) view[i] = 0.3 * rng.normal();
  }
}

function weightsOf(model: Model): Map<string, Float32Array> {
  return new Map(model.store.all().map(({ name, tensor }) => [name, tensor.toHost()]));
}

for (const name of names) {
  test(`attaching to ${name} leaves every bit of the logits`, () => {
    const model = open(name);
    const before = logitsOf(model, name);
    attach(model);
    assert.deepEqual(logitsOf(model, name), before);
  });

  test(`merging into ${name} gives the logits of the attached adapter`, () => {
    const model = open(name);
    const before = logitsOf(model, name);
    const lora = attach(model);
    fillFactors(lora);
    const attached = logitsOf(model, name);
    assert.throws(() =>
      assertAllClose(attached[0] ?? [], before[0] ?? [], 1e-2, "the adapter counts"),
    );
    lora.merge();
    assert.deepEqual(lora.parameters(), []);
    logitsOf(model, name).forEach((logits, i) => {
      assertAllClose(logits, attached[i] ?? [], 1e-4, `merged logits of row ${i}`);
    });
  });

  test(`detaching from ${name} gives the base back bit for bit`, () => {
    const model = open(name);
    const [logits, weights, stateBytes] = [
      logitsOf(model, name),
      weightsOf(model),
      model.engine.stats.state,
    ];
    const lora = attach(model);
    fillFactors(lora);
    logitsOf(model, name);
    lora.detach();
    assert.deepEqual(logitsOf(model, name), logits);
    assert.deepEqual(weightsOf(model), weights);
    assert.equal(model.engine.stats.state, stateBytes);
  });
}

test("fresh factors are Kaiming uniform in A and zero in B, the same for the same seed", () => {
  const values = attach(open("llama-tied")).export();
  assert.deepEqual(attach(open("llama-tied")).export(), values);
  for (const [factor, { shape, data }] of values) {
    if (factor.endsWith("lora_B.weight")) {
      assert.ok(
        data.every((value) => value === 0),
        factor,
      );
      continue;
    }
    const bound = 1 / Math.sqrt(shape[1] as number);
    assert.ok(
      data.every((value) => Math.abs(value) <= bound),
      factor,
    );
    const meanSquare = data.reduce((sum, value) => sum + value * value, 0) / data.length;
    assert.ok(meanSquare > bound ** 2 / 6 && meanSquare < bound ** 2 / 1.5, factor);
  }
});

test("rank and alpha patterns apply to single layers", () => {
  const model = open("llama-tied");
  const lora = attach(model, {
    targets: ["q_proj"],
    rankPattern: { "layers.1.self_attn.q_proj": 5 },
    alphaPattern: { "layers.0.self_attn.q_proj": 12 },
  });
  const ranks = lora.parameters().map(({ name, tensor }) => [name, tensor.shape]);
  assert.deepEqual(ranks, [
    ["model.layers.0.self_attn.q_proj.lora_A.weight", [3, 16]],
    ["model.layers.0.self_attn.q_proj.lora_B.weight", [16, 3]],
    ["model.layers.1.self_attn.q_proj.lora_A.weight", [5, 16]],
    ["model.layers.1.self_attn.q_proj.lora_B.weight", [16, 5]],
  ]);
  const pairs = model
    .linears()
    .flatMap(({ adapter }) => (adapter instanceof LoraPair ? adapter : []));
  assert.deepEqual(
    pairs.map(({ scale }) => scale),
    [12 / 3, 6 / 5],
  );
});

test("an adapter that PEFT saved, with patterns, gives PEFT's logits", () => {
  const expected = JSON.parse(readFileSync(fixture("peft-bert", "expected.json"), "utf8")) as {
    input_ids: number[][];
    base_logits: number[][];
    adapter_logits: number[][];
  };
  const model = loadModel(Engine.create(), fixture("peft-bert", "base"));
  const sequences = expected.input_ids.map((ids) => ({ ids }));
  const path = fixture("peft-bert", "adapter");
  assertAllClose(
    lastLogits(model, sequences)[0] ?? [],
    expected.base_logits[0] ?? [],
    1e-5,
    "base",
  );
  const { tensors, ...shape } = readPeftAdapter(path);
  const lora = Lora.attach(model.engine, model.linears(), shape, Rng.fromSeed(1));
  lora.load(tensors, path);
  const [logits] = lastLogits(model, sequences);
  assertAllClose(logits ?? [], expected.adapter_logits[0] ?? [], 1e-5, "with the adapter");
});

test("export and load carry every factor, and a misfit is named", () => {
  const model = open("llama-tied");
  const lora = attach(model, { targets: ["q_proj"] });
  fillFactors(lora);
  const values = lora.export();
  const [logits] = logitsOf(model, "llama-tied");
  lora.detach();
  const again = attach(model, { targets: ["q_proj"] });
  again.load(values, "a test");
  assert.deepEqual(logitsOf(model, "llama-tied")[0], logits);

  const name = "model.layers.1.self_attn.q_proj.lora_B.weight";
  const refused = (got: string) => (error: unknown) =>
    error instanceof CheckpointError &&
    error.message.startsWith(`a test: tensor ${name}: expected [16, 3], got ${got}`);
  values.set(name, { shape: [16, 2], data: new Float32Array(32) });
  assert.throws(() => again.load(values, "a test"), refused("[16, 2]"));
  values.delete(name);
  assert.throws(() => again.load(values, "a test"), refused("nothing of that name"));
});

test("a second adapter on the same layer and impossible settings are refused", () => {
  const model = open("llama-tied");
  assert.throws(() => attach(model, { rank: 0 }), ConfigError);
  assert.throws(() => attach(model, { rank: 1.5 }), ConfigError);
  assert.throws(() => attach(model, { alpha: 0 }), ConfigError);
  assert.throws(() => attach(model, { dropout: 1 }), ConfigError);
  const stateBytes = model.engine.stats.state;
  const lora = attach(model, { targets: ["v_proj"] });
  assert.throws(
    () => attach(model),
    (error) =>
      error instanceof ConfigError &&
      /self_attn\.v_proj has an adapter already/.test(error.message),
  );
  lora.detach();
  assert.equal(model.engine.stats.state, stateBytes);
});
