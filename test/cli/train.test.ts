/** `train` and what follows from it: an adapter folder that classify, eval, forward and merge agree on. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readAll, Safetensors } from "../../src/io/safetensors.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { projectRoot } from "../support/sources.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel } from "../support/tiny-model.ts";

const things = ["pump", "fan", "valve", "door", "room", "tank"];
const states = ["hot", "cold", "wet"];
const rows = things.flatMap((thing) => states.map((state) => [`the ${thing} is ${state}`, state]));

let shared = "";
let base = "";
let data = "";
let adapter = "";

before(async () => {
  shared = mkdtempSync(join(tmpdir(), "fedspine-test-"));
  base = copyTinyModel("bert-classify", join(shared, "base"), { tokenizer: "encoder" });
  data = join(shared, "data.csv");
  writeFileSync(data, `text,label\n${rows.map((row) => `${row.join(",")}\n`).join("")}`);
  adapter = join(shared, "adapter");
  await fedspineJson(["train", ...common(), "--steps", "60", "--out", adapter]);
});

after(() => {
  rmSync(shared, { recursive: true, force: true });
});

function common(): string[] {
  return ["--model", base, "--data", data, "--rank", "2", "--batch-size", "6", "--lr", "0.05"];
}

/** The scores of `eval` over all rows. */
async function scores(...args: string[]): Promise<{ loss: number; accuracy: number }> {
  const [record] = await fedspineJson(["eval", "--data", data, "--kernels", "simd", ...args]);
  return record as { loss: number; accuracy: number };
}

test("training teaches the classes, and its adapter folder brings that to eval", async () => {
  const [without, trained] = await Promise.all([
    scores("--model", base),
    scores("--model", base, "--adapter", adapter),
  ]);
  assert.ok(trained.loss < without.loss / 2, `${without.loss} -> ${trained.loss}`);
  assert.ok(trained.accuracy > 0.9);
});

test("the adapter folder is PEFT's, with the head and the names of the classes", () => {
  const config = JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8")) as {
    [key: string]: unknown;
  };
  assert.equal(config["peft_type"], "LORA");
  assert.equal(config["task_type"], "SEQ_CLS");
  assert.deepEqual([config["r"], config["lora_alpha"]], [2, 4]);
  assert.deepEqual(config["target_modules"], ["query", "value"]);
  assert.deepEqual(config["modules_to_save"], ["classifier"]);
  assert.deepEqual(JSON.parse(readFileSync(join(adapter, "labels.json"), "utf8")), [
    "cold",
    "hot",
    "wet",
  ]);
  const file = Safetensors.open(join(adapter, "adapter_model.safetensors"));
  const names = [...file.tensors.keys()];
  file.close();
  assert.equal(names.length, 2 * 2 * 2 + 2);
  assert.ok(names.includes("base_model.model.classifier.weight"));
  assert.ok(
    names.includes("base_model.model.bert.encoder.layer.1.attention.self.value.lora_B.weight"),
  );
});

test("classify names the class of each text, from arguments or from standard input", async () => {
  const texts = ["the door is wet", "the valve is cold"];
  const args = ["classify", "--model", base, "--adapter", adapter, "--kernels", "simd"];
  const [given, piped, people] = await Promise.all([
    fedspineJson([...args, ...texts]),
    fedspineJson(args, `${texts.join("\n\n")}\n`),
    fedspine([...args, ...texts]),
  ]);
  const records = given as {
    text: string;
    label: string;
    probability: number;
    probabilities: Record<string, number>;
  }[];
  assert.deepEqual(
    records.map(({ text, label }) => [text, label]),
    [
      ["the door is wet", "wet"],
      ["the valve is cold", "cold"],
    ],
  );
  for (const { label, probability, probabilities } of records) {
    assert.deepEqual(Object.keys(probabilities), ["cold", "hot", "wet"]);
    assert.equal(probabilities[label], probability);
    const total = Object.values(probabilities).reduce((sum, value) => sum + value, 0);
    assert.ok(Math.abs(total - 1) < 1e-9);
  }
  assert.deepEqual(piped, given);
  assert.match(
    people.stdout,
    /^wet\t\d+\.\d %\tthe door is wet\ncold\t\d+\.\d %\tthe valve is cold\n$/,
  );
});

test("merge folds the adapter into a plain folder with the same logits", async (context) => {
  const folder = temporaryFolder(context);
  const half = temporaryFolder(context);
  const merge = ["merge", "--model", base, "--adapter", adapter];
  const done = await Promise.all([
    fedspine([...merge, "--out", folder]),
    fedspine([...merge, "--out", half, "--dtype", "f16"]),
  ]);
  assert.deepEqual(
    done.map(({ status }) => status),
    [0, 0],
  );
  const forward = async (...args: string[]): Promise<number[]> => {
    const [record] = await fedspineJson(["forward", "--text", "the tank is wet", ...args]);
    return (record as { logits: number[] }).logits;
  };
  const [attached, merged, rounded, scored, expected] = await Promise.all([
    forward("--model", base, "--adapter", adapter),
    forward("--model", folder),
    forward("--model", half),
    scores("--model", folder),
    scores("--model", base, "--adapter", adapter),
  ]);
  assertAllClose(merged, attached, 1e-4, "float32");
  assertAllClose(rounded, attached, 5e-3, "float16");
  assert.equal(scored.accuracy, expected.accuracy);
});

/** Losses of a log file, and the trained tensors, bit for bit. */
function outcome(out: string, log: string): { losses: unknown[]; tensors: unknown } {
  const losses = readFileSync(log, "utf8")
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  const file = Safetensors.open(join(out, "adapter_model.safetensors"));
  const tensors = readAll(file);
  file.close();
  return { losses, tensors };
}

function lossOfLine(line: string): number {
  return (JSON.parse(line) as { loss: number }).loss;
}

test("a resumed run ends with the bits of an uninterrupted one", async (context) => {
  const folder = temporaryFolder(context);
  const run = async (name: string, ...args: string[]) => {
    const [out, log] = [join(folder, name), join(folder, `${name}.jsonl`)];
    const settings = ["--dropout", "0.2", "--warmup", "2", "--accumulate", "2", "--epochs", "4"];
    const files = ["--out", out, "--log", log];
    const result = await fedspine(["train", ...common(), ...settings, ...files, ...args]);
    return { result, out, log };
  };
  const whole = await run("whole");
  assert.equal(whole.result.status, 0, whole.result.stderr);
  const expected = outcome(whole.out, whole.log);
  assert.equal(expected.losses.length, 6);

  // The run stops after its sixth step; its last checkpoint is from the fourth.
  const checkpointed = await run("parts", "--checkpoint-every", "4");
  assert.equal(checkpointed.result.status, 0, checkpointed.result.stderr);
  rmSync(join(checkpointed.out, "adapter_model.safetensors"));
  const lines = readFileSync(checkpointed.log, "utf8").split("\n");
  writeFileSync(checkpointed.log, `${lines.slice(0, 4).join("\n")}\n`);
  const resumed = await run("parts", "--checkpoint-every", "4", "--resume");
  assert.equal(resumed.result.status, 0, resumed.result.stderr);
  assert.match(resumed.result.stderr, /continuing after step 4/);
  assert.deepEqual(outcome(resumed.out, resumed.log), expected);

  const [other, none] = await Promise.all([
    run("parts", "--resume", "--alpha", "16"),
    run("none", "--resume"),
  ]);
  assert.equal(other.result.status, 65);
  assert.match(other.result.stderr, /made with another alpha: expected null, got 16/);
  assert.equal(none.result.status, 65);
  assert.match(none.result.stderr, /no checkpoint to continue from/);
});

test("training evaluates on what it held out and stops early when that gets no better", async () => {
  // A rate of zero never improves: the third evaluation uses up a patience of two.
  const held = ["--test-ratio", "0.34", "--eval-every", "2", "--patience", "2"];
  const args = ["train", ...common(), ...held, "--lr", "0", "--steps", "50"];
  const [record] = (await fedspineJson(args)) as {
    steps: number;
    held_out: { loss: number; accuracy: number; macro_f1: number };
  }[];
  assert.equal(record?.steps, 6);
  assert.ok(Number.isFinite(record.held_out.loss));
  assert.ok(record.held_out.accuracy >= 0 && record.held_out.accuracy <= 1);
  assert.ok(record.held_out.macro_f1 >= 0 && record.held_out.macro_f1 <= 1);
});

test("a stored head keeps the order of its classes, whatever order the data suggest", async (context) => {
  const folder = temporaryFolder(context);
  const id2label = { 0: "wet", 1: "cold", 2: "hot" };
  const model = copyTinyModel("bert-classify", join(folder, "base"), {
    tokenizer: "encoder",
    config: { id2label },
  });
  const [out, log] = [join(folder, "adapter"), join(folder, "steps.jsonl")];
  const sizes = ["--lr", "0", "--steps", "1", "--batch-size", String(rows.length)];
  const args = ["train", "--model", model, "--data", data, ...sizes, "--out", out, "--log", log];
  await fedspineJson(args);
  const { loss } = await scores("--model", model);
  assertAllClose([lossOfLine(readFileSync(log, "utf8"))], [loss], 1e-5, "loss of the first step");
  assert.deepEqual(
    JSON.parse(readFileSync(join(out, "labels.json"), "utf8")),
    Object.values(id2label),
  );
});

test("a language model trains on plain text and is scored by perplexity", async (context) => {
  const folder = temporaryFolder(context);
  const model = copyTinyModel("llama-tied", join(folder, "base"), { tokenizer: "causal" });
  const text = join(folder, "text.txt");
  writeFileSync(text, `${rows.map(([line]) => line).join("\n")}\n`);
  const [out, args] = [join(folder, "adapter"), ["--model", model, "--data", text, "--task", "lm"]];
  const sizes = ["--steps", "25", "--batch-size", "6", "--lr", "0.02", "--targets", "all-linear"];
  await fedspineJson(["train", ...args, ...sizes, "--out", out]);
  const evaluate = async (...more: string[]) => {
    const [record] = await fedspineJson(["eval", ...args, ...more]);
    return record as { tokens: number; loss: number; perplexity: number };
  };
  const [without, trained] = await Promise.all([evaluate(), evaluate("--adapter", out)]);
  assert.equal(trained.tokens, 4 * rows.length);
  assert.ok(trained.perplexity < without.perplexity / 2);
  assert.ok(Math.abs(trained.perplexity - Math.exp(trained.loss)) < 1e-9);
  assert.equal(existsSync(join(out, "labels.json")), false);
});

test("rows of ids are checked for labels and held out by --test-ratio", async (context) => {
  const path = join(temporaryFolder(context), "rows.jsonl");
  const write = (count: number, labelled: number): void => {
    const lines = Array.from({ length: count }, (_, i) =>
      JSON.stringify({ input_ids: [2, 5 + i, 3], ...(i < labelled ? { label: i % 3 } : {}) }),
    );
    writeFileSync(path, `${lines.join("\n")}\n`);
  };
  const args = ["train", "--model", base, "--data", path, "--steps", "1", "--test-ratio", "0.5"];
  write(8, 8);
  const [record] = (await fedspineJson(args)) as { held_out: { loss: number } }[];
  assert.ok(Number.isFinite(record?.held_out.loss));
  write(8, 5);
  const { status, stderr } = await fedspine(args);
  assert.equal(status, 65);
  assert.match(stderr, /row 6 has no label/);
});

test("the bundled base trains on a user's table", async (context) => {
  const model = join(projectRoot, "models", "base-encoder");
  const out = temporaryFolder(context);
  const sizes = ["--steps", "2", "--batch-size", "4", "--max-tokens", "16"];
  const args = ["train", "--model", model, "--data", data, ...sizes, "--out", out];
  const [record] = (await fedspineJson(args)) as { steps: number; loss: number }[];
  assert.equal(record?.steps, 2);
  assert.ok(record.loss > 0 && record.loss < 5);
  const text = ["classify", "--model", model, "--adapter", out, "the pump is hot"];
  const [answer] = (await fedspineJson(text)) as { label: string }[];
  assert.ok(states.includes(answer?.label ?? ""));
});
