/** What `train` and `eval` read: labelled texts, rows of ids, or plain text, as sequences. */
import { readFileSync, statSync } from "node:fs";
import { DataError } from "../base/errors.ts";
import type { Sequence } from "../data/batch.ts";
import { loadDataset, loadExamples, loadTokenRows } from "../data/dataset.ts";
import { sortedLabels } from "../data/examples.ts";
import { readJsonLines } from "../data/jsonl.ts";
import { encodeDataset, textSequences, tokenSequences } from "../data/sequences.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface DataOptions {
  readonly data: string;
  readonly textColumn?: string;
  readonly labelColumn?: string;
  /** Share of a single file to hold out, 0 for none; a folder brings its own split. */
  readonly testRatio: number;
  readonly seed: number;
}

/** Data before tokenisation: the labels are needed to make the model. */
export interface TrainingData {
  readonly labels: readonly string[];
  /** How the data were read, one sentence each. */
  readonly notes: readonly string[];
  encode(
    tokenizer: () => Tokenizer,
    maxTokens: number,
    labels: readonly string[],
  ): { train: Sequence[]; heldOut: Sequence[] };
}

/** Labelled data for classification. Throws DataError. */
export function readLabelledData(options: DataOptions): TrainingData {
  const { data, testRatio, seed } = options;
  if (holdsIds(data)) return idData(data);
  const columns = {
    ...(options.textColumn === undefined ? {} : { textColumn: options.textColumn }),
    ...(options.labelColumn === undefined ? {} : { labelColumn: options.labelColumn }),
  };
  if (testRatio === 0 && statSync(data, { throwIfNoEntry: false })?.isFile() === true) {
    const { examples, columns: sentence, notes } = loadExamples(data, columns);
    const all = { examples, labels: sortedLabels(examples) };
    return {
      labels: all.labels,
      notes: [sentence, ...notes],
      encode: (tokenizer, maxTokens, labels) => ({
        train: encodeDataset({ ...all, labels }, tokenizer(), maxTokens),
        heldOut: [],
      }),
    };
  }
  const loaded = loadDataset(data, { ...columns, seed, ...(testRatio > 0 ? { testRatio } : {}) });
  return {
    labels: loaded.train.labels,
    notes: [loaded.columns, loaded.split, ...loaded.notes],
    encode: (tokenizer, maxTokens, labels) => ({
      train: encodeDataset({ ...loaded.train, labels }, tokenizer(), maxTokens),
      heldOut: encodeDataset({ ...loaded.test, labels }, tokenizer(), maxTokens),
    }),
  };
}

/** Plain text, rows {"text"} or rows {"input_ids"} for language modelling. Throws DataError. */
export function readLanguageData({ data, testRatio }: DataOptions): TrainingData {
  if (holdsIds(data)) return idData(data);
  const texts = data.endsWith(".jsonl") ? jsonTexts(data) : paragraphs(data);
  const cut = texts.length - Math.round(texts.length * testRatio);
  return {
    labels: [],
    notes: [`${texts.length} texts`],
    encode: (tokenizer, maxTokens) => ({
      train: textSequences(texts.slice(0, cut), tokenizer(), maxTokens),
      heldOut: textSequences(texts.slice(cut), tokenizer(), maxTokens),
    }),
  };
}

function idData(path: string): TrainingData {
  const rows = loadTokenRows(path);
  const labels = sortedLabels(
    rows.flatMap(({ label }) => (label === undefined ? [] : { text: "", label })),
  );
  return {
    labels,
    notes: [`${rows.length} rows of token ids`],
    encode: (_tokenizer, maxTokens, modelLabels) => ({
      train: tokenSequences(rows, modelLabels, maxTokens),
      heldOut: [],
    }),
  };
}

/** Whether a file's first row brings ids instead of text. */
function holdsIds(path: string): boolean {
  if (!path.endsWith(".jsonl") || statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    return false;
  }
  const firstLine = readFileSync(path, "utf8")
    .split("\n")
    .find((line) => line.trim() !== "");
  return (
    firstLine !== undefined && readJsonLines(firstLine, path)[0]?.value["input_ids"] !== undefined
  );
}

function jsonTexts(path: string): string[] {
  return readJsonLines(readFileSync(path, "utf8"), path).map(({ line, value }) => {
    if (typeof value["text"] === "string") return value["text"];
    throw new DataError(`${path} line ${line}`, { expected: '"text" or "input_ids"' });
  });
}

function paragraphs(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new DataError(`cannot read ${path}`, { cause });
  }
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}
