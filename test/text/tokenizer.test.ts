/** The tokenizer against reference ids, and its truncation and error rules. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import { loadTokenizer, Tokenizer } from "../../src/text/tokenizer.ts";
import { trainWordPiece, wordPieceFiles } from "../../src/text/train-vocabulary.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function smallTokenizer(purpose: "encoder" | "causal" = "encoder"): Tokenizer {
  const vocabulary = trainWordPiece(["the pump is hot", "the fan is cold"], {
    vocabSize: 200,
    lowerCase: true,
    minFrequency: 1,
  });
  const files = wordPieceFiles(vocabulary, { lowerCase: true, purpose, maxTokens: 64 });
  return new Tokenizer(files.definition, files.config, "a small tokenizer");
}

test("the BERT vocabulary gives the published ids", { skip: missing("bert-vocab") }, () => {
  const tokenizer = loadTokenizer(join(sharedData, "bert-vocab"));
  assert.equal(tokenizer.vocabSize, 30522);
  assert.deepEqual(tokenizer.special, { pad: 0, unk: 100, cls: 101, sep: 102, mask: 103 });
  const { ids } = tokenizer.encode("Hello, world! Unaffable café.");
  assert.deepEqual(ids, [101, 7592, 1010, 2088, 999, 14477, 20961, 3468, 7668, 1012, 102]);
  assert.equal(tokenizer.decode(ids), "hello, world! unaffable cafe.");
});

test("the LLaMA tokenizer gives the reference ids", { skip: missing("llama-stories260K") }, () => {
  const folder = join(sharedData, "llama-stories260K");
  const tokenizer = loadTokenizer(folder);
  const reference = JSON.parse(readFileSync(join(folder, "reference.json"), "utf8")) as {
    cases: { text: string; input_ids: number[] }[];
  };
  assert.ok(reference.cases.length > 0);
  for (const { text, input_ids: expected } of reference.cases) {
    assert.deepEqual(tokenizer.encode(text).ids, expected);
    assert.equal(tokenizer.decode(expected), text);
  }
  assert.deepEqual(tokenizer.special, { unk: 0, bos: 1, eos: 2 });
});

test("truncation keeps the special tokens at both ends", () => {
  const tokenizer = smallTokenizer();
  const whole = tokenizer.encode("the pump is hot and the fan is cold");
  assert.equal(whole.truncated, false);
  const cut = tokenizer.encode("the pump is hot and the fan is cold", { maxTokens: 6 });
  assert.equal(cut.truncated, true);
  assert.deepEqual(cut.ids, [...whole.ids.slice(0, 5), tokenizer.special.sep]);
  assert.equal(tokenizer.encode("the pump", { maxTokens: 4 }).truncated, false);
});

test("truncation of a pair shortens the longer text first", () => {
  const tokenizer = smallTokenizer();
  const id = (piece: string) => tokenizer.idOf(piece) as number;
  const { ids, truncated } = tokenizer.encode("the fan is the fan is the fan", {
    pair: "hot cold",
    maxTokens: 8,
  });
  assert.ok(truncated);
  const [cls, sep] = [id("[CLS]"), id("[SEP]")];
  const fan = tokenizer.encode("the fan is", { specialTokens: false }).ids;
  const pair = tokenizer.encode("hot cold", { specialTokens: false }).ids;
  assert.deepEqual(ids, [cls, ...fan, sep, ...pair, sep]);
});

test("a limit without room for the special tokens is refused", () => {
  assert.throws(() => smallTokenizer().encode("the fan", { maxTokens: 1 }), ConfigError);
});

test("a causal tokenizer has the same ids, a start token and no end token in the text", () => {
  const encoder = smallTokenizer();
  const causal = smallTokenizer("causal");
  const text = "the fan is hot";
  assert.deepEqual(causal.encode(text).ids, encoder.encode(text).ids.slice(0, -1));
  assert.equal(causal.special.bos, encoder.special.cls);
  assert.equal(causal.special.eos, encoder.special.sep);
});

test("special tokens given as objects are found too", () => {
  const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"];
  const files = wordPieceFiles(vocabulary, { lowerCase: true, purpose: "encoder", maxTokens: 8 });
  const config = { ...files.config, pad_token: { content: "[PAD]", lstrip: false } };
  assert.equal(new Tokenizer(files.definition, config, "objects").special.pad, 0);
});

test("a missing, unreadable or unusable tokenizer file is named in the error", (context) => {
  const folder = temporaryFolder(context);
  const refuses = (pattern: RegExp) => {
    assert.throws(
      () => loadTokenizer(folder),
      (error) => error instanceof CheckpointError && pattern.test(error.message),
    );
  };
  refuses(/tokenizer\.json/);
  writeFileSync(join(folder, "tokenizer.json"), "{ not json");
  refuses(/tokenizer\.json is not JSON/);
  writeFileSync(join(folder, "tokenizer.json"), "[]");
  refuses(/tokenizer\.json holds the wrong thing/);
  writeFileSync(join(folder, "tokenizer.json"), '{"model": {"type": "Unheard"}}');
  refuses(/tokenizer_config\.json/);
  writeFileSync(join(folder, "tokenizer_config.json"), "{}");
  refuses(/tokenizer\.json is not a tokenizer/);
});
