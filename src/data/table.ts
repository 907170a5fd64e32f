/** Data files read into rows of cells: CSV with quotes, TSV without, "label text" lines, JSON lines. */
import { parse } from "csv-parse/sync";
import { readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { DataError } from "../base/errors.ts";
import { readJsonLines, recordsToRows } from "./jsonl.ts";

export type TableFormat = "csv" | "tsv" | "jsonl" | "label-text";

export interface Row {
  /** 1-based line of the file on which the row ends. */
  readonly line: number;
  readonly cells: readonly string[];
}

export interface Table {
  readonly format: TableFormat;
  /** Every row, a header line included; rows may differ in width. */
  readonly rows: readonly Row[];
  /** Column names where the format itself carries them. */
  readonly names?: readonly string[];
  /** What a reader should know about how the file was read. */
  readonly notes: readonly string[];
}

const FORMAT_OF_EXTENSION: Readonly<Record<string, TableFormat>> = {
  ".csv": "csv",
  ".tsv": "tsv",
  ".tab": "tsv",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  // The TREC question files: a class, a space, the question.
  ".all": "label-text",
};

/** The format that a file name promises, or undefined. */
export function formatOf(path: string): TableFormat | undefined {
  return FORMAT_OF_EXTENSION[extname(path).toLowerCase()];
}

/** Reads a whole file. Throws DataError for an unknown format, a missing file or broken content. */
export function readTable(path: string, format?: TableFormat): Table {
  const known = format ?? formatOf(path);
  if (known === undefined) {
    throw new DataError(`${basename(path)}: unknown kind of data file`, {
      expected: Object.keys(FORMAT_OF_EXTENSION).join(", "),
      got: extname(path) || "no extension",
      hint: "name the format: csv, tsv, jsonl or label-text",
    });
  }
  const { text, notes } = readText(path);
  switch (known) {
    case "csv":
      return { format: known, rows: csvRows(text, path), notes };
    case "tsv":
      return { format: known, rows: lineRows(text, (line) => line.split("\t")), notes };
    case "label-text":
      return {
        format: known,
        rows: lineRows(text, labelTextCells),
        names: ["label", "text"],
        notes,
      };
    case "jsonl":
      return { format: known, ...recordsToRows(readJsonLines(text, path)), notes };
  }
}

/** The lines of a text without their ends; a final line break starts no line. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A file as text: UTF-8 with or without byte order mark, UTF-16LE with one, else Latin-1. */
export function readText(path: string): { text: string; notes: string[] } {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new DataError(`cannot read ${path}`, { cause });
  }
  if (bytes[0] === 0xff && bytes[1] === 0xfe) {
    return { text: new TextDecoder("utf-16le").decode(bytes), notes: [] };
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), notes: [] };
  } catch {
    const note = `${basename(path)} is not UTF-8: read as Latin-1`;
    return { text: new TextDecoder("latin1").decode(bytes), notes: [note] };
  }
}

function csvRows(text: string, path: string): Row[] {
  try {
    const records = parse(text, {
      delimiter: delimiterOf(text),
      info: true,
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return records.map(({ record, info }) => ({ line: info.lines, cells: record }));
  } catch (cause) {
    throw new DataError(`${basename(path)} is not valid CSV`, {
      cause,
      hint: "if quotes in it are plain characters, separate the columns by tabs and name it .tsv",
    });
  }
}

/** Spreadsheets of many countries write ";" into files called .csv. */
function delimiterOf(text: string): "," | ";" {
  const end = text.search(/[\r\n]/);
  const firstLine = end < 0 ? text : text.slice(0, end);
  return firstLine.split(";").length > firstLine.split(",").length ? ";" : ",";
}

function lineRows(text: string, split: (line: string) => string[]): Row[] {
  const rows: Row[] = [];
  linesOf(text).forEach((line, index) => {
    if (line.trim() !== "") rows.push({ line: index + 1, cells: split(line) });
  });
  return rows;
}

function labelTextCells(line: string): string[] {
  const [, label = "", rest = ""] = /^\s*(\S+)\s*(.*)$/.exec(line) ?? [];
  return [label, rest];
}
