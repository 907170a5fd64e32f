/** What `train` and `eval` read: labelled texts, rows of ids, or plain text, as sequences. */
import { statSync } from "node:fs";
import { DataError } from "../base/errors.ts";
import type { Sequence } from "../data/batch.ts";
import { loadDataset, loadExamples, loadTokenRows } from "../data/dataset.ts";
import { sortedLabels } from "../data/examples.ts";
import { readJsonLines, type TokenRow } from "../data/jsonl.ts";
import { encodeDataset, textSequences, tokenSequences } from "../data/sequences.ts";
import { readText } from "../data/table.ts";
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
  if (holdsIds(data)) {
    const rows = loadTokenRows(data);
    const unlabelled = rows.findIndex(({ label }) => label === undefined);
    if (unlabelled < 0) return idData(rows, testRatio);
    throw new DataError(`${data}: row ${unlabelled + 1} has no label`, {
      expected: '{"input_ids", "label"} in every row',
    });
  }
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
export function readLanguageData(options: DataOptions): TrainingData {
  const { data, testRatio } = options;
  if (holdsIds(data)) return idData(loadTokenRows(data), testRatio);
  const texts = data.endsWith(".jsonl") ? jsonTexts(data) : paragraphs(data);
  const [trained, held] = cutEnd(texts, testRatio);
  return {
    labels: [],
    notes: [`${texts.length} texts`],
    encode: (tokenizer, maxTokens) => ({
      train: textSequences(trained, tokenizer(), maxTokens),
      heldOut: textSequences(held, tokenizer(), maxTokens),
    }),
  };
}

/** Refuses ids that the model has no embedding for. Throws DataError. */
export function checkIds(sequences: readonly Sequence[], vocabSize: number): void {
  sequences.forEach(({ ids }, i) => {
    const unknown = ids.find((id) => id >= vocabSize);
    if (unknown === undefined) return;
    throw new DataError(`sequence ${i + 1}: token id out of range`, {
      expected: `0 to ${vocabSize - 1}`,
      got: String(unknown),
      hint: "do the ids, or the tokenizer, belong to this model?",
    });
  });
}

/** All but the last share of the items, and that share. */
function cutEnd<T>(items: readonly T[], share: number): [kept: readonly T[], end: readonly T[]] {
  const cut = items.length - Math.round(items.length * share);
  return [items.slice(0, cut), items.slice(cut)];
}

function idData(rows: readonly TokenRow[], testRatio: number): TrainingData {
  const [trained, held] = cutEnd(rows, testRatio);
  const labels = sortedLabels(
    rows.flatMap(({ label }) => (label === undefined ? [] : { text: "", label })),
  );
  return {
    labels,
    notes: [`${rows.length} rows of token ids`],
    encode: (_tokenizer, maxTokens, modelLabels) => ({
      train: tokenSequences(trained, modelLabels, maxTokens),
      heldOut: tokenSequences(held, modelLabels, maxTokens),
    }),
  };
}

/** Whether a file's first row brings ids instead of text. */
function holdsIds(path: string): boolean {
  if (!path.endsWith(".jsonl") || statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    return false;
  }
  const firstLine = readText(path)
    .text.split("\n")
    .find((line) => line.trim() !== "");
  return (
    firstLine !== undefined && readJsonLines(firstLine, path)[0]?.value["input_ids"] !== undefined
  );
}

function jsonTexts(path: string): string[] {
  return readJsonLines(readText(path).text, path).map(({ line, value }) => {
    if (typeof value["text"] === "string") return value["text"];
    throw new DataError(`${path} line ${line}`, { expected: '"text" or "input_ids"' });
  });
}

function paragraphs(path: string): string[] {
  return readText(path)
    .text.split(/\r?\n/)
    .filter((line) => line.trim() !== "");
}
