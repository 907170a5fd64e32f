/** What vocabulary training promises: order, coverage, determinism, files that load again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError } from "../../src/base/errors.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { trainWordPiece, wordPieceFiles } from "../../src/text/train-vocabulary.ts";

const options = { vocabSize: 220, lowerCase: true, minFrequency: 1 };

function tokenizerOf(vocabulary: readonly string[], lowerCase = true): Tokenizer {
  const files = wordPieceFiles(vocabulary, { lowerCase, purpose: "encoder", maxTokens: 512 });
  return new Tokenizer(files.definition, files.config, "a trained vocabulary");
}

test("the most frequent pair is merged first and ties go to the smaller ids", () => {
  const vocabulary = trainWordPiece(["abab abab ab", "xy xy"], options);
  const merges = vocabulary.slice(vocabulary.indexOf("##z") + 1);
  assert.deepEqual(
    merges.filter((piece) => /^[#abxy]+$/.test(piece)),
    ["ab", "xy", "##ab", "abab"],
  );
});

test("the vocabulary starts with the special pieces and has no piece twice", () => {
  const vocabulary = trainWordPiece(["one two three one two one"], options);
  assert.deepEqual(vocabulary.slice(0, 5), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
  assert.equal(new Set(vocabulary).size, vocabulary.length);
});

test("no printable ASCII text meets [UNK], whatever the training text was", () => {
  const tokenizer = tokenizerOf(trainWordPiece(["hello"], options));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme-ascii", maxLength: 60 }), (text) => {
      const { ids } = tokenizer.encode(text, { specialTokens: false });
      assert.ok(!ids.includes(tokenizer.special.unk as number));
    }),
  );
});

test("a frequent word becomes one piece and a rare one does not push it out", () => {
  const lines = [...Array.from({ length: 50 }, () => "temperature rising"), "zymurgy"];
  const tokenizer = tokenizerOf(trainWordPiece(lines, { ...options, minFrequency: 5 }));
  assert.equal(tokenizer.encode("temperature", { specialTokens: false }).ids.length, 1);
  assert.ok(tokenizer.encode("zymurgy", { specialTokens: false }).ids.length > 1);
});

test("characters outside ASCII are kept from minFrequency on", () => {
  const lines = ["– – –", "€"];
  const vocabulary = trainWordPiece(lines, { ...options, minFrequency: 2 });
  assert.ok(vocabulary.includes("–"));
  assert.ok(!vocabulary.includes("##–"), "punctuation always stands alone");
  assert.ok(!vocabulary.includes("€"));
});

test("capitals are kept when lowerCase is off", () => {
  const vocabulary = trainWordPiece(["ERROR ERROR"], { ...options, lowerCase: false });
  assert.equal(
    tokenizerOf(vocabulary, false).encode("ERROR", { specialTokens: false }).ids.length,
    1,
  );
});

test("training does not depend on the order of the lines", () => {
  const lines = ["to be or not to be", "that is the question", "be that as it may"];
  assert.deepEqual(trainWordPiece(lines, options), trainWordPiece([...lines].reverse(), options));
});

test("a size below the number of characters is refused", () => {
  assert.throws(() => trainWordPiece(["a"], { ...options, vocabSize: 50 }), ConfigError);
});
