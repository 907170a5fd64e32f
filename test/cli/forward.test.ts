/** `forward` and `generate` as processes, against transformers and PEFT. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadModel } from "../../src/models/load.ts";
import { generate } from "../../src/models/generate.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { fixture } from "../support/fixtures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel, tinyFolder, tinyReference } from "../support/tiny-model.ts";

interface Forward {
  input_ids: number[];
  logits: number[];
  loss?: number;
}

async function forward(model: string, ...args: string[]): Promise<Forward> {
  const [record] = await fedspineJson(["forward", "--model", model, ...args]);
  return record as Forward;
}

for (const name of ["bert-classify", "llama-untied"] as const) {
  test(`forward prints transformers' logits of ${name} on every kernel module`, async () => {
    const { rows, last_logits: want, loss_of_row_0: loss } = tinyReference(name);
    const ids = rows[0]?.join(",") ?? "";
    await Promise.all(
      ["simd", "relaxed", "auto", "reference"].map(async (kernels) => {
        const record = await forward(tinyFolder(name), "--ids", ids, "--kernels", kernels);
        assert.deepEqual(record.input_ids, rows[0]);
        assertAllClose(record.logits, want[0] ?? [], 1e-4, `logits (${kernels})`);
        if (name === "bert-classify") assert.equal(record.loss, undefined);
        else assertAllClose([record.loss ?? NaN], [loss], 1e-4, "loss");
      }),
    );
  });
}

test("a base in fewer bits prints nearly the same logits, and an unknown format is refused", async () => {
  const folder = tinyFolder("bert-classify");
  const { logits: want } = await forward(folder, "--ids", "1,5,7,3");
  for (const [format, tolerance] of [
    ["f16", 1e-3],
    ["int8", 0.02],
    ["int4", 0.05],
  ] as const) {
    const { logits } = await forward(folder, "--ids", "1,5,7,3", "--base-dtype", format);
    assert.notDeepEqual(logits, want, format);
    assertAllClose(logits, want, tolerance, `logits (${format})`);
  }
  const refused = await fedspine(["forward", "--model", folder, "--base-dtype", "int2"]);
  assert.match(refused.stderr, /f32, f16, int8, int4/);
});

test("forward with an adapter that PEFT saved prints PEFT's logits", async () => {
  const { input_ids: rows, adapter_logits: want } = JSON.parse(
    readFileSync(fixture("peft-bert", "expected.json"), "utf8"),
  ) as { input_ids: number[][]; adapter_logits: number[][] };
  const adapter = fixture("peft-bert", "adapter");
  const ids = rows[0]?.join(",") ?? "";
  const record = await forward(fixture("peft-bert", "base"), "--adapter", adapter, "--ids", ids);
  assertAllClose(record.logits, want[0] ?? [], 1e-5, "logits");
});

test("forward takes text by the model's tokenizer and prints the same for people", async (context) => {
  const folder = copyTinyModel("bert-classify", temporaryFolder(context), { tokenizer: "encoder" });
  const byText = await forward(folder, "--text", "The pump is hot");
  assert.deepEqual(byText.input_ids, [2, 5, 11, 7, 19, 3]);
  assert.deepEqual(await forward(folder, "--ids", "2,5,11,7,19,3"), byText);
  const { stdout } = await fedspine(["forward", "--model", folder, "--text", "the pump is hot"]);
  const numbers = byText.logits.map((value) => value.toFixed(6)).join(" ");
  assert.equal(stdout, `6 of at most 24 tokens: 2 5 11 7 19 3\nlogits: ${numbers}\n`);
});

test("generate continues a prompt as the library does, and follows its seed", async (context) => {
  const folder = copyTinyModel("llama-tied", temporaryFolder(context), {
    tokenizer: "causal",
    config: { bos_token_id: 2 },
  });
  const tokenizer = loadTokenizer(folder);
  const run = async (...args: string[]) => {
    const given = [
      "generate",
      "--model",
      folder,
      "--max-tokens",
      "8",
      "--kernels",
      "simd",
      ...args,
    ];
    const [record] = await fedspineJson(given);
    return record as { prompt_ids: number[]; ids: number[]; text: string };
  };
  const model = loadModel(Engine.create(), folder);
  const greedy = { maxTokens: 8, temperature: 0, stopIds: [2, 3] };
  const [prompted, empty, warm, again, other] = await Promise.all([
    run("--prompt", "the fan"),
    run(),
    run("--temperature", "3", "--seed", "5"),
    run("--temperature", "3", "--seed", "5"),
    run("--temperature", "3", "--seed", "6"),
  ]);
  assert.deepEqual(prompted.prompt_ids, tokenizer.encode("the fan").ids);
  assert.deepEqual(prompted.ids, [...generate(model, prompted.prompt_ids, greedy)]);
  assert.equal(prompted.text, tokenizer.decode([...prompted.prompt_ids, ...prompted.ids]));
  assert.ok(prompted.text.startsWith("the fan"));
  assert.deepEqual(empty.prompt_ids, [2]);
  assert.deepEqual(again.ids, warm.ids);
  assert.notDeepEqual(other.ids, warm.ids);
});
