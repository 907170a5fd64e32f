/** Masking: the shares of the recipe, what is never hidden, whole words, and repeatability. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ignoredLabel, maskingVocabulary, maskTokens } from "../../src/pretrain/masking.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { trainWordPiece, wordPieceFiles } from "../../src/text/train-vocabulary.ts";

const pieces = trainWordPiece(["the pump is hot"], {
  vocabSize: 200,
  lowerCase: true,
  minFrequency: 1,
});
const files = wordPieceFiles(pieces, { lowerCase: true, purpose: "encoder", maxTokens: 64 });
const tokenizer = new Tokenizer(files.definition, files.config, "a test vocabulary");
const maskId = tokenizer.special.mask as number;
const vocabulary = maskingVocabulary(tokenizer, maskId);
const [cls, sep] = [tokenizer.special.cls as number, tokenizer.special.sep as number];
const options = { probability: 0.2, wholeWords: false, seed: 5 };

/** Rows of `[CLS] the pump ... [SEP]`. */
function rows(count: number, text: string): { ids: Int32Array; windowTokens: number } {
  const { ids } = tokenizer.encode(text);
  return {
    ids: Int32Array.from({ length: count * ids.length }, (_, i) => ids[i % ids.length] as number),
    windowTokens: ids.length,
  };
}

test("a fifth is predicted: 80 % hidden, 10 % replaced, 10 % left, within sampling error", () => {
  const { ids, windowTokens } = rows(4000, "the pump is hot the pump is hot");
  const { inputIds, labels } = maskTokens(ids, windowTokens, vocabulary, options, 1);
  let [predicted, hidden, kept, ordinary] = [0, 0, 0, 0];
  ids.forEach((id, i) => {
    if (id !== cls && id !== sep) ordinary++;
    if (labels[i] === ignoredLabel) {
      assert.equal(inputIds[i], id);
      return;
    }
    assert.equal(labels[i], id);
    predicted++;
    if (inputIds[i] === maskId) hidden++;
    if (inputIds[i] === id) kept++;
  });
  // Bounds of five standard deviations of the binomial distribution.
  assert.ok(Math.abs(predicted / ordinary - 0.2) < 5 * Math.sqrt(0.16 / ordinary));
  assert.ok(Math.abs(hidden / predicted - 0.8) < 5 * Math.sqrt(0.16 / predicted));
  assert.ok(Math.abs(kept / predicted - 0.1) < 0.01 + 5 * Math.sqrt(0.09 / predicted));
});

test("special tokens are never predicted and never stand in for a word", () => {
  const { ids, windowTokens } = rows(500, "the pump € is hot");
  const all = { ...options, probability: 1 };
  const { inputIds, labels } = maskTokens(ids, windowTokens, vocabulary, all, 1);
  ids.forEach((id, i) => {
    const isSpecial = vocabulary.isSpecial[id] === 1;
    assert.equal(labels[i] === ignoredLabel, isSpecial);
    if (isSpecial) assert.equal(inputIds[i], id);
    else assert.ok(inputIds[i] === maskId || vocabulary.isSpecial[inputIds[i] as number] === 0);
  });
});

test("with whole words on, the pieces of a word are predicted together or not at all", () => {
  const { ids, windowTokens } = rows(300, "zzz the qqqq pump");
  const whole = { ...options, probability: 0.4, wholeWords: true };
  const { labels } = maskTokens(ids, windowTokens, vocabulary, whole, 1);
  let joined = 0;
  ids.forEach((id, i) => {
    if (vocabulary.continuesWord[id] !== 1) return;
    assert.equal(labels[i] === ignoredLabel, labels[i - 1] === ignoredLabel);
    joined++;
  });
  assert.ok(joined > 0);
});

test("a step masks the same way again, another step or seed another way", () => {
  const { ids, windowTokens } = rows(50, "the pump is hot");
  const at = (step: number, seed = 5) =>
    maskTokens(ids, windowTokens, vocabulary, { ...options, seed }, step).labels;
  assert.deepEqual(at(3), at(3));
  assert.notDeepEqual(at(3), at(4));
  assert.notDeepEqual(at(3), at(3, 6));
});
