/** `pretrain` as a process: vocabulary, model folder, log, and continuation to the bit. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fedspine, fedspineJson } from "../support/command.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SIZES = ["--layers", "1", "--width", "16", "--heads", "2", "--inner", "24", "--length", "12"];
const SPEED = ["--batch-size", "4", "--warmup", "0", "--schedule", "constant", "--lr", "0.01"];
const VOCABULARY = ["--vocab-size", "220", "--min-frequency", "1", "--held-out", "0.2"];

function writeCorpus(folder: string): string {
  const sentences = ["The pump is hot.", "A fan was not cold.", "The room and the tank are wet."];
  const paragraphs = Array.from({ length: 60 }, (_, i) => sentences[i % 3]);
  writeFileSync(join(folder, "a.txt"), paragraphs.join("\n\n"));
  return folder;
}

for (const objective of ["masked", "causal"] as const) {
  test(`a continued ${objective} run writes the bytes of an uninterrupted one`, async (context) => {
    const data = writeCorpus(temporaryFolder(context));
    const [whole, parts] = [temporaryFolder(context), temporaryFolder(context)];
    const run = async (out: string, ...args: string[]): Promise<string> => {
      const settings = [...SIZES, ...SPEED, ...VOCABULARY, "--kernels", "simd", "--dtype", "f32"];
      const given = ["--data", data, "--out", out, "--objective", objective, ...settings];
      const { status, stderr } = await fedspine(["pretrain", ...given, ...args]);
      assert.equal(status, 0, stderr);
      return stderr;
    };
    const interrupted = async (): Promise<string> => {
      await run(parts, "--steps", "2");
      return run(parts, "--steps", "4", "--continue");
    };
    const [first, second] = await Promise.all([run(whole, "--steps", "4"), interrupted()]);
    assert.match(first, /training the vocabulary[\s\S]*computing the embedding start/);
    assert.match(second, /continuing after step 2/);
    for (const file of ["model.safetensors", "config.json", "tokenizer.json"]) {
      assert.deepEqual(readFileSync(join(parts, file)), readFileSync(join(whole, file)), file);
    }
    const logged = (out: string): unknown =>
      JSON.parse(readFileSync(join(out, "log.jsonl"), "utf8").trimEnd().split("\n").at(-1) ?? "");
    assert.deepEqual(logged(parts), logged(whole));
    assert.deepEqual(Object.keys(logged(whole) as object), ["step", "heldOutLoss"]);

    const text = ["forward", "--model", whole, "--text", "the pump is hot"];
    const [record] = (await fedspineJson(text)) as { input_ids: number[]; logits: number[] }[];
    assert.ok(record);
    assert.ok(record.logits.every(Number.isFinite));
    assert.ok(record.input_ids.length > 4);
  });
}

test("a continuation with other sizes or without a checkpoint is refused", async (context) => {
  const data = writeCorpus(temporaryFolder(context));
  const out = temporaryFolder(context);
  const base = ["pretrain", "--data", data, "--out", out, ...SIZES, ...SPEED, ...VOCABULARY];
  const none = await fedspine([...base, "--steps", "1", "--continue"]);
  assert.equal(none.status, 65);
  assert.match(none.stderr, /no checkpoint to continue from/);
  const start = await fedspine([...base, "--steps", "1", "--svd-start", "off"]);
  assert.equal(start.status, 0, start.stderr);
  assert.doesNotMatch(start.stderr, /embedding start/);
  const wider = await fedspine([...base, "--steps", "2", "--continue", "--layers", "2"]);
  assert.equal(wider.status, 65);
  assert.match(wider.stderr, /made with another layers: expected 1, got 2/);
});
