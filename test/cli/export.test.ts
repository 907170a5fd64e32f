/** Pruned models written for elsewhere: `export`, `merge` and `verify` as a user runs them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ExitCode } from "../../src/base/errors.ts";
import { readJsonObject } from "../../src/io/json.ts";
import { readPeftAdapter, writePeftAdapter } from "../../src/io/peft.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel, tinyFolder } from "../support/tiny-model.ts";

let shared = "";
let base = "";
let units = "";
let wanted: number[] = [];
const adapter = join(tinyFolder("bert-classify"), "adapter");

before(async () => {
  shared = mkdtempSync(join(tmpdir(), "fedspine-test-"));
  base = copyTinyModel("bert-classify", join(shared, "base"), { tokenizer: "encoder" });
  units = join(shared, "units.json");
  const layers = [
    { heads: [1], ffn: [0, 7] },
    { heads: [0, 3], ffn: [5, 6, 9] },
  ];
  writeFileSync(units, JSON.stringify({ layers }));
  wanted = await logits("--model", base, "--adapter", adapter, "--structure", units);
});
after(() => rmSync(shared, { recursive: true, force: true }));

async function logits(...args: string[]): Promise<number[]> {
  const [record] = (await fedspineJson(["forward", "--ids", "2,9,14,3", ...args])) as {
    logits: number[];
  }[];
  return must(record).logits;
}

async function succeed(...args: string[]): Promise<void> {
  const { status, stderr } = await fedspine(args);
  assert.equal(status, 0, stderr);
}

for (const form of ["dense", "compact"]) {
  test(`export writes a ${form} model and its adapter, which together say the same`, async (t) => {
    const out = join(temporaryFolder(t), "out");
    const source = ["--model", base, "--adapter", adapter, "--structure", units];
    await succeed("export", ...source, "--out", out, "--form", form);
    const read = await logits("--model", out, "--adapter", join(out, "adapter"));
    assertAllClose(read, wanted, 1e-5, "logits");
    const written = readPeftAdapter(join(out, "adapter")).tensors;
    const isWhole = [...readPeftAdapter(adapter).tensors].every(
      ([name, { shape }]) => String(must(written.get(name)).shape) === String(shape),
    );
    assert.equal(isWhole, form === "dense");
    assert.deepEqual(readJsonObject(join(out, "config.json"))["num_attention_heads"], 4);
  });

  test(`merge folds an adapter into a ${form} model`, async (t) => {
    const out = join(temporaryFolder(t), "out");
    const source = ["--model", base, "--adapter", adapter, "--structure", units];
    await succeed("merge", ...source, "--out", out, "--form", form);
    assertAllClose(await logits("--model", out), wanted, 1e-5, "logits");
  });
}

test("ranks that differ between modules are written as PEFT's patterns", async (t) => {
  const out = temporaryFolder(t);
  const first = readPeftAdapter(adapter);
  const [module] = [...first.tensors.keys()].map((name) => name.replace(/\.lora_.*/, ""));
  const mixed = join(out, "mixed");
  const cut = new Map(first.tensors);
  const [a, b] = [`${module}.lora_A.weight`, `${module}.lora_B.weight`];
  const [A, B] = [must(cut.get(a)), must(cut.get(b))];
  cut.set(a, { shape: [1, must(A.shape[1])], data: A.data.slice(0, A.shape[1]) });
  const column = B.data.filter((_, i) => i % must(B.shape[1]) === 0);
  cut.set(b, { shape: [must(B.shape[0]), 1], data: column });
  const patterns = { rankPattern: { [must(module)]: 1 }, alphaPattern: { [must(module)]: 3 } };
  writePeftAdapter(mixed, { ...first, ...patterns, tensors: cut });
  await succeed(
    ...["export", "--model", base, "--adapter", mixed, "--structure", units],
    ...["--out", join(out, "model")],
  );
  const written = readPeftAdapter(join(out, "model", "adapter"));
  assert.deepEqual(written.rankPattern, patterns.rankPattern);
  assert.deepEqual(written.alphaPattern, patterns.alphaPattern);
  const source = ["--model", base, "--adapter", mixed, "--structure", units];
  const read = ["--model", join(out, "model"), "--adapter", join(out, "model", "adapter")];
  assertAllClose(await logits(...read), await logits(...source), 1e-5, "logits");
});

test("verify finds every form of a pruned model the same", async () => {
  const args = ["verify", base, "--adapter", adapter, "--structure", units];
  const [record] = (await fedspineJson(args)) as {
    ok: boolean;
    forms: { form: string; bytes: number; difference: number; isSame: boolean }[];
  }[];
  const { ok, forms } = must(record);
  assert.ok(ok);
  assert.deepEqual(
    forms.map(({ form }) => form),
    [
      ...["dense", "compact", "adapter for the base"],
      ...["dense, adapter folded in", "compact, adapter folded in"],
    ],
  );
  for (const { difference, isSame } of forms) assert.ok(isSame && difference < 1e-5);
  const [dense, compact] = forms;
  assert.ok(must(compact).bytes < must(dense).bytes);
});

test("verify ends with failure when a form does not hold what the model says", async (t) => {
  const loud = copyTinyModel("bert-classify", join(temporaryFolder(t), "loud"), {
    tensors: (tensors) => {
      // Beyond what float16 can hold.
      const [, weight] = must([...tensors].find(([name]) => name.includes("intermediate")));
      weight.data.fill(1e6);
    },
  });
  const { status, stdout } = await fedspine(["verify", loud, "--dtype", "f16"]);
  assert.equal(status, ExitCode.failed);
  assert.match(stdout, /DIFFERS/);
  assert.equal((await fedspine(["verify", loud])).status, 0);
});
