/** Text files as one long run of token ids with document boundaries, kept on disk between runs. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as v from "valibot";
import { DataError } from "../base/errors.ts";
import { writeFileAtomic } from "../io/atomic-file.ts";
import { writeJson } from "../io/json.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Two bytes an id where the vocabulary allows it: corpora are long. */
export type TokenIds = Uint16Array | Int32Array;

export interface CorpusDocument {
  readonly name: string;
  /** Index of the first token in `ids`. */
  readonly start: number;
  /** Length in tokens. */
  readonly length: number;
}

/** Documents one after another, without special tokens. */
export interface Corpus {
  readonly ids: TokenIds;
  readonly documents: readonly CorpusDocument[];
}

const textName = /\.(txt|text|md|log)(\.gz)?$/;
const metaSchema = v.object({
  key: v.string(),
  documents: v.array(v.object({ name: v.string(), start: v.number(), length: v.number() })),
});

/**
 * The text files behind `paths`: a file stands for itself, a folder for the .txt, .text, .md and
 * .log files in it, gzipped or not, in order of their names. Throws DataError when there is none.
 */
export function corpusFiles(paths: readonly string[]): string[] {
  const files = paths.flatMap((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new DataError(`no text at ${path}`);
    if (found.isFile()) return [path];
    const names = readdirSync(path).filter((name) => textName.test(name));
    return names.sort().map((name) => join(path, name));
  });
  if (files.length === 0) {
    throw new DataError("no text files to read", {
      expected: "files, or folders with .txt, .text, .md or .log files, gzipped or not",
      got: paths.join(", "),
    });
  }
  return files;
}

/** The text of a file, unpacked if its name ends in .gz, without a byte order mark. */
export function readText(path: string): string {
  try {
    const bytes = readFileSync(path);
    const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    return text.startsWith("\uFEFF") ? text.slice(1) : text;
  } catch (cause) {
    throw new DataError(`cannot read ${path}`, { cause });
  }
}

/** Stretches between blank lines with their line breaks turned to spaces; lines, where none is blank. */
export function paragraphsOf(text: string): string[] {
  const blocks = text.trim().split(/\r?\n[ \t]*\r?\n\s*/);
  if (blocks.length === 1) return text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return blocks.map((block) => block.replace(/[ \t]*\r?\n[ \t]*/g, " ").trim());
}

/** Encodes every file as one document; the ids are those of the tokenizer for each paragraph. */
export function encodeCorpus(files: readonly string[], tokenizer: Tokenizer): Corpus {
  const encode = wordCachedEncoder(tokenizer);
  const ids = new GrowingIds(tokenizer.vocabSize);
  const documents = files.map((path) => {
    const start = ids.length;
    for (const paragraph of paragraphsOf(readText(path))) encode(paragraph, ids);
    return { name: basename(path), start, length: ids.length - start };
  });
  return { ids: ids.finish(), documents };
}

/**
 * The encoded corpus from `corpus.bin` and `corpus.json` in `cacheFolder` when they were made from
 * the same file contents and tokenizer; else encodes and writes them.
 */
export function loadCorpus(
  files: readonly string[],
  tokenizer: Tokenizer,
  cacheFolder: string,
): Corpus {
  const key = corpusKey(files, tokenizer);
  const cached = readCache(cacheFolder, key, tokenizer.vocabSize);
  if (cached !== undefined) return cached;
  const corpus = encodeCorpus(files, tokenizer);
  const { buffer, byteOffset, byteLength } = corpus.ids;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  writeFileAtomic(join(cacheFolder, "corpus.bin"), [bytes]);
  writeJson(join(cacheFolder, "corpus.json"), { key, documents: corpus.documents });
  return corpus;
}

/** Appends ids of texts, remembering those of each stretch between spaces where that is exact. */
export function wordCachedEncoder(
  tokenizer: Tokenizer,
): (text: string, out: { push(ids: readonly number[]): void }) => void {
  const encode = (text: string) => tokenizer.encode(text, { specialTokens: false }).ids;
  if (!tokenizer.splitsAtSpaces) return (text, out) => out.push(encode(text));
  const known = new Map<string, number[]>();
  return (text, out) => {
    for (const stretch of text.split(/[ \t\r\n]+/)) {
      let ids = known.get(stretch);
      if (ids === undefined) {
        ids = encode(stretch);
        known.set(stretch, ids);
      }
      out.push(ids);
    }
  };
}

function corpusKey(files: readonly string[], tokenizer: Tokenizer): string {
  const hash = createHash("sha256").update(tokenizer.digest);
  for (const path of files) hash.update(basename(path)).update(readFileSync(path));
  return hash.digest("hex");
}

function readCache(folder: string, key: string, vocabSize: number): Corpus | undefined {
  const metaPath = join(folder, "corpus.json");
  if (statSync(metaPath, { throwIfNoEntry: false }) === undefined) return undefined;
  let meta: v.InferOutput<typeof metaSchema>;
  let bytes: Buffer;
  try {
    meta = v.parse(metaSchema, JSON.parse(readFileSync(metaPath, "utf8")));
    bytes = readFileSync(join(folder, "corpus.bin"));
  } catch {
    return undefined;
  }
  const total = meta.documents.reduce((sum, document) => sum + document.length, 0);
  const ids = viewIds(bytes, vocabSize);
  return meta.key === key && ids.length === total ? { ids, documents: meta.documents } : undefined;
}

function viewIds(bytes: Buffer, vocabSize: number): TokenIds {
  const { buffer } = new Uint8Array(bytes);
  return vocabSize <= 65536
    ? new Uint16Array(buffer, 0, bytes.length >> 1)
    : new Int32Array(buffer, 0, bytes.length >> 2);
}

class GrowingIds {
  #ids: TokenIds;
  length = 0;

  constructor(vocabSize: number) {
    this.#ids = vocabSize <= 65536 ? new Uint16Array(4096) : new Int32Array(4096);
  }

  push(ids: readonly number[]): void {
    if (this.length + ids.length > this.#ids.length) {
      const size = Math.max(2 * this.#ids.length, this.length + ids.length);
      const grown = this.#ids instanceof Uint16Array ? new Uint16Array(size) : new Int32Array(size);
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids.set(ids, this.length);
    this.length += ids.length;
  }

  finish(): TokenIds {
    return this.#ids.slice(0, this.length);
  }
}
