/** One source of labelled texts, a file or a folder of line-aligned files, read whole. */
import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { DataError } from "../base/errors.ts";
import { chooseColumns, columnsPresent, type ColumnNames } from "./columns.ts";
import type { Example } from "./examples.ts";
import { linesOf, readTable, readText, type TableFormat } from "./table.ts";

export interface SourceOptions extends ColumnNames {
  /** Needed where the file name does not tell. */
  readonly format?: TableFormat;
}

export interface Source {
  readonly examples: readonly Example[];
  /** False for a file without a label column; it then has no examples. */
  readonly isLabelled: boolean;
  /** The columns used, for reading further parts of the same data alike. */
  readonly used: ColumnNames;
  /** All columns there are. */
  readonly names: readonly string[];
  /** Which columns were used and how they were found, as a sentence. */
  readonly columns: string;
  /** What was skipped or guessed, one sentence each. */
  readonly notes: readonly string[];
}

/** A folder in the layout of the intent collections: texts in `seq.in`, classes in `label`, line by line. */
export const ALIGNED_TEXT = "seq.in";
const ALIGNED_LABEL = "label";

/**
 * Reads `path`, telling in the notes which rows were skipped; where `isLabelOptional`, a named label
 * column may be missing. Throws DataError.
 */
export function readSource(path: string, options: SourceOptions, isLabelOptional = false): Source {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isFolder ? readAligned(path, options) : readColumns(path, options, isLabelOptional);
}

export function noLabelColumn(path: string, { names }: Source): DataError {
  return new DataError(`${basename(path)} has no label column`, {
    expected: "a column of labels",
    got: columnsPresent(names),
    hint: "name it with --label-column",
  });
}

function readColumns(path: string, options: SourceOptions, isLabelOptional: boolean): Source {
  const file = basename(path);
  const table = readTable(path, options.format);
  const columns = chooseColumns(table, options, file, isLabelOptional);
  const { names, text, label, group } = columns;
  const skips = new Skips(file);
  const examples: Example[] = [];
  for (const { line, cells } of columns.hasHeader ? table.rows.slice(1) : table.rows) {
    if (cells.length !== names.length) {
      skips.add(`not ${names.length} columns wide`, line);
      continue;
    }
    if (label === undefined) continue;
    const textCell = (cells[text] ?? "").trim();
    const labelCell = (cells[label] ?? "").trim();
    const groupCell = group === undefined ? "" : (cells[group] ?? "").trim();
    if (textCell === "") skips.add("without text", line);
    else if (labelCell === "") skips.add("without label", line);
    else examples.push(createExample(textCell, labelCell, groupCell));
  }
  return {
    examples,
    isLabelled: label !== undefined,
    used: columns.used,
    names,
    columns: columns.sentence,
    notes: [...table.notes, ...skips.notes()],
  };
}

function readAligned(
  folder: string,
  { textColumn, labelColumn, groupColumn }: ColumnNames,
): Source {
  const named = textColumn ?? labelColumn ?? groupColumn;
  if (named !== undefined) {
    throw new DataError(`${basename(folder)} takes no column names`, {
      expected: `none beside ${ALIGNED_TEXT} and ${ALIGNED_LABEL}`,
      got: `"${named}"`,
    });
  }
  const texts = readText(join(folder, ALIGNED_TEXT));
  const labels = readText(join(folder, ALIGNED_LABEL));
  const textLines = linesOf(texts.text);
  const labelLines = linesOf(labels.text);
  if (textLines.length !== labelLines.length) {
    throw new DataError(`${basename(folder)}: ${ALIGNED_TEXT} and ${ALIGNED_LABEL} do not match`, {
      expected: `${textLines.length} labels, one per line of ${ALIGNED_TEXT}`,
      got: `${labelLines.length}`,
    });
  }
  const skips = new Skips(basename(folder));
  const examples: Example[] = [];
  textLines.forEach((line, index) => {
    const text = line.trim();
    const label = labelLines[index]?.trim() ?? "";
    if (text === "" || label === "") skips.add("without text or label", index + 1);
    else examples.push({ text, label });
  });
  return {
    examples,
    isLabelled: true,
    used: {},
    names: [ALIGNED_TEXT, ALIGNED_LABEL],
    columns: `columns: text = ${ALIGNED_TEXT}, label = ${ALIGNED_LABEL} (line-aligned files)`,
    notes: [...texts.notes, ...labels.notes, ...skips.notes()],
  };
}

function createExample(text: string, label: string, group: string): Example {
  return group === "" ? { text, label } : { text, label, group };
}

/** Counts the skipped rows of one file by reason. */
class Skips {
  readonly #file: string;
  readonly #byReason = new Map<string, { count: number; firstLine: number }>();

  constructor(file: string) {
    this.#file = file;
  }

  add(reason: string, line: number): void {
    const entry = this.#byReason.get(reason);
    if (entry === undefined) this.#byReason.set(reason, { count: 1, firstLine: line });
    else entry.count++;
  }

  notes(): string[] {
    return [...this.#byReason].map(
      ([reason, { count, firstLine }]) =>
        `${this.#file}: ${count} ${count === 1 ? "row" : "rows"} skipped, ${reason} (first: line ${firstLine})`,
    );
  }
}
