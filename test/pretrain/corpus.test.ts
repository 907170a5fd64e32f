/** Corpora: which files are read, what the cache keeps, and that the fast path changes no id. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { DataError } from "../../src/base/errors.ts";
import {
  corpusFiles,
  encodeCorpus,
  loadCorpus,
  paragraphsOf,
  readText,
  wordCachedEncoder,
} from "../../src/pretrain/corpus.ts";
import { loadTokenizer, Tokenizer } from "../../src/text/tokenizer.ts";
import { trainWordPiece, wordPieceFiles } from "../../src/text/train-vocabulary.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const vocabulary = trainWordPiece(["the cat sat on the mat"], {
  vocabSize: 200,
  lowerCase: true,
  minFrequency: 1,
});

function tokenizerOf(pieces: readonly string[]): Tokenizer {
  const files = wordPieceFiles(pieces, { lowerCase: true, purpose: "encoder", maxTokens: 64 });
  return new Tokenizer(files.definition, files.config, "a test vocabulary");
}

function cachedIds(tokenizer: Tokenizer, text: string): number[] {
  const ids: number[] = [];
  wordCachedEncoder(tokenizer)(text, { push: (more) => ids.push(...more) });
  return ids;
}

test("the word cache gives the tokenizer's own ids for any text", () => {
  const tokenizer = tokenizerOf(vocabulary);
  const odd = fc.constantFrom(
    "\uFEFF",
    "\u00a0",
    "\f",
    "\v",
    "\u2003",
    "Σ",
    "ς",
    "é",
    "[MASK]",
    "\u0301",
  );
  const text = fc.array(fc.oneof(odd, fc.string({ maxLength: 6, unit: "binary" })), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(text, (parts) => {
      const whole = parts.join("");
      const expected = tokenizer.encode(whole, { specialTokens: false }).ids;
      assert.deepEqual(cachedIds(tokenizer, whole), expected);
    }),
    { numRuns: 100 },
  );
});

test(
  "the word cache gives the tokenizer's own ids for novels and logs",
  { skip: missing("novels", "loghub", "bert-vocab") },
  () => {
    const tokenizer = loadTokenizer(join(sharedData, "bert-vocab"));
    const novel = readText(join(sharedData, "novels", "Doyle_Hound_1902.txt.gz"));
    const log = readText(join(sharedData, "loghub", "BGL", "BGL_2k.log"));
    for (const text of [novel.slice(0, 40_000), log.slice(0, 40_000)]) {
      const expected = tokenizer.encode(text, { specialTokens: false }).ids;
      assert.deepEqual(cachedIds(tokenizer, text), expected);
    }
  },
);

test(
  "a tokenizer that does not split at spaces is asked for whole paragraphs",
  { skip: missing("llama-stories260K") },
  () => {
    const tokenizer = loadTokenizer(join(sharedData, "llama-stories260K"));
    const text = "Once upon a time, there was a dog.";
    assert.deepEqual(
      cachedIds(tokenizer, text),
      tokenizer.encode(text, { specialTokens: false }).ids,
    );
  },
);

test("paragraphs are parted by blank lines, or by lines where none is blank", () => {
  assert.deepEqual(paragraphsOf("one\r\ntwo\r\n\r\nthree\n \nfour  \n  five\n"), [
    "one two",
    "three",
    "four five",
  ]);
  assert.deepEqual(paragraphsOf("one\ntwo\n"), ["one", "two"]);
});

test("a folder stands for its text files in order, gzipped or not", (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(join(folder, "b.txt"), "\uFEFFthe mat");
  writeFileSync(join(folder, "a.txt.gz"), gzipSync("the cat"));
  writeFileSync(join(folder, "ignored.bin"), "no text");
  const files = corpusFiles([folder]);
  assert.deepEqual(files, [join(folder, "a.txt.gz"), join(folder, "b.txt")]);
  assert.deepEqual(files.map(readText), ["the cat", "the mat"]);
  const tokenizer = tokenizerOf(vocabulary);
  const corpus = encodeCorpus(files, tokenizer);
  assert.equal(tokenizer.decode([...corpus.ids]), "the cat the mat");
  assert.deepEqual(
    corpus.documents.map(({ name, start }) => [name, start]),
    [
      ["a.txt.gz", 0],
      ["b.txt", corpus.documents[0]?.length],
    ],
  );
});

test("a missing path, a folder without text and a damaged gzip file are refused", (context) => {
  const folder = temporaryFolder(context);
  assert.throws(() => corpusFiles([join(folder, "absent")]), DataError);
  assert.throws(() => corpusFiles([folder]), DataError);
  writeFileSync(join(folder, "bad.txt.gz"), "not gzip");
  assert.throws(() => readText(join(folder, "bad.txt.gz")), DataError);
});

test("the cache is used again for the same texts and tokenizer, and only for those", (context) => {
  const folder = temporaryFolder(context);
  const text = join(folder, "a.txt");
  const cache = join(folder, "cache");
  writeFileSync(text, "the cat sat");
  const tokenizer = tokenizerOf(vocabulary);
  const fresh = loadCorpus([text], tokenizer, cache);
  // A marked copy shows whether the cache is read: its ids could not come from the text.
  const marked = fresh.ids.map(() => 7);
  writeFileSync(join(cache, "corpus.bin"), new Uint8Array(marked.buffer));
  assert.deepEqual([...loadCorpus([text], tokenizer, cache).ids], [...marked]);
  const other = loadCorpus([text], tokenizerOf([...vocabulary, "sat on"]), cache);
  assert.deepEqual([...other.ids], [...fresh.ids]);
  writeFileSync(text, "the mat");
  assert.notDeepEqual([...loadCorpus([text], tokenizer, cache).ids], [...fresh.ids]);
  writeFileSync(join(cache, "corpus.bin"), readFileSync(join(cache, "corpus.bin")).subarray(1));
  assert.equal(tokenizer.decode([...loadCorpus([text], tokenizer, cache).ids]), "the mat");
});
