/** Which column of a table is the text, the label and the group: by name, or found by looking. */
import { DataError } from "../base/errors.ts";
import type { Row, Table } from "./table.ts";

/** Column names, or 1-based positions for a file without header. */
export interface ColumnNames {
  readonly textColumn?: string;
  readonly labelColumn?: string;
  readonly groupColumn?: string;
}

export interface Columns {
  readonly names: readonly string[];
  readonly hasHeader: boolean;
  readonly text: number;
  /** Undefined for a file without labels. */
  readonly label: number | undefined;
  readonly group: number | undefined;
  /** The choice by name, for reading further files alike. */
  readonly used: ColumnNames;
  /** The choice as a sentence for the user. */
  readonly sentence: string;
}

const TEXT_NAMES =
  "text sentence content utterance question query message review tweet document body input description";
const LABEL_NAMES = "label labels category class intent target sentiment topic tag";
const GROUP_NAMES = "group gateway site client";
const OTHER_NAMES = "id index idx line lineid";

const KNOWN = {
  text: TEXT_NAMES.split(" "),
  label: LABEL_NAMES.split(" "),
  group: GROUP_NAMES.split(" "),
};
const HEADER_WORDS = new Set([...Object.values(KNOWN).flat(), ...OTHER_NAMES.split(" ")]);

/**
 * Chooses the columns of `table`; where `isLabelOptional`, a named label column may be missing.
 * Throws DataError naming the columns present.
 */
export function chooseColumns(
  table: Table,
  wanted: ColumnNames,
  file: string,
  isLabelOptional = false,
): Columns {
  const [first] = table.rows;
  if (first === undefined) throw new DataError(`${file} holds no rows`);
  const hasHeader = table.names === undefined && looksLikeHeader(table.rows, wanted);
  const names =
    table.names ?? first.cells.map((cell, index) => (hasHeader ? cell.trim() : `${index + 1}`));
  const body = table.rows.slice(hasHeader ? 1 : 0);
  const stats = names.map((_, index) => columnStats(body, index, names.length));

  const find = (name: string | undefined): number | undefined =>
    name === undefined ? undefined : columnNamed(name, names, file);
  const mayMiss = isLabelOptional && wanted.labelColumn !== undefined;
  const given = {
    text: find(wanted.textColumn),
    label: mayMiss ? position(wanted.labelColumn ?? "", names) : find(wanted.labelColumn),
    group: find(wanted.groupColumn),
  };
  const taken = Object.values(given);
  const text = given.text ?? knownColumn(names, KNOWN.text, taken) ?? longestColumn(stats, taken);
  if (text === undefined) {
    throw new DataError(`${file} has no text column`, {
      expected: "a column of texts",
      got: columnsPresent(names),
      hint: "name it with --text-column",
    });
  }
  taken.push(text);
  const guessLabel = (): number | undefined =>
    knownColumn(names, KNOWN.label, taken) ?? repeatingColumn(stats, taken);
  const label = given.label ?? (mayMiss ? undefined : guessLabel());
  taken.push(label);
  const group = given.group ?? knownColumn(names, KNOWN.group, taken);

  const isNamed = given.text !== undefined && (label === undefined || given.label !== undefined);
  const isPositional = table.names === undefined && !hasHeader;
  const chosen = Object.entries({ text, label, group }).flatMap(([role, index]) => {
    if (index === undefined) return [];
    return [`${role} = ${isPositional ? `column ${index + 1}` : `"${names[index] ?? ""}"`}`];
  });
  const header = table.names === undefined ? ` ${hasHeader ? "with" : "without"} header` : "";
  const how = `${isNamed ? "as named" : "auto-detected"}, ${table.format}${header}`;
  return {
    names,
    hasHeader,
    text,
    label,
    group,
    used: usedNames(names, text, label, group),
    sentence: `columns: ${chosen.join(", ")} (${how})`,
  };
}

function usedNames(
  names: readonly string[],
  text: number,
  label: number | undefined,
  group: number | undefined,
): ColumnNames {
  const name = (index: number): string => names[index] ?? "";
  return {
    textColumn: name(text),
    ...(label === undefined ? {} : { labelColumn: name(label) }),
    ...(group === undefined ? {} : { groupColumn: name(group) }),
  };
}

export function columnsPresent(names: readonly string[]): string {
  return `the columns ${names.map((name) => `"${name}"`).join(", ")}`;
}

/** The index of a column by its name, or by its 1-based position. */
function position(name: string, names: readonly string[]): number | undefined {
  const index = names.indexOf(name);
  if (index >= 0) return index;
  return /^[1-9]\d*$/.test(name) && Number(name) <= names.length ? Number(name) - 1 : undefined;
}

function columnNamed(name: string, names: readonly string[], file: string): number {
  const index = position(name, names);
  if (index !== undefined) return index;
  throw new DataError(`${file} has no column "${name}"`, {
    expected: `one of ${columnsPresent(names)}`,
    got: `"${name}"`,
    hint: "name a column of the first line, or its position from 1 where there is no header",
  });
}

/** A first row of known names, or of short words that never come back as values below. */
function looksLikeHeader(rows: readonly Row[], wanted: ColumnNames): boolean {
  const cells = rows[0]?.cells.map((cell) => cell.trim()) ?? [];
  const asked = Object.values(wanted) as (string | undefined)[];
  if (cells.some((cell) => asked.includes(cell) || HEADER_WORDS.has(cell.toLowerCase()))) {
    return true;
  }
  if (rows.length < 2) return false;
  return cells.every((cell, index) => {
    if (cell === "" || cell.split(/\s+/).length > 3 || isNumber(cell)) return false;
    return rows.every((row, rowIndex) => rowIndex === 0 || row.cells[index]?.trim() !== cell);
  });
}

interface ColumnStats {
  readonly meanLength: number;
  readonly numDistinct: number;
  readonly numRows: number;
  readonly isNumeric: boolean;
}

function columnStats(rows: readonly Row[], index: number, width: number): ColumnStats {
  const distinct = new Set<string>();
  let length = 0;
  let isNumeric = true;
  let numRows = 0;
  for (const { cells } of rows) {
    if (cells.length !== width) continue;
    numRows++;
    const cell = (cells[index] ?? "").trim();
    distinct.add(cell);
    length += cell.length;
    isNumeric &&= isNumber(cell);
  }
  const meanLength = length / Math.max(1, numRows);
  return { meanLength, numDistinct: distinct.size, numRows, isNumeric };
}

type Taken = readonly (number | undefined)[];

function knownColumn(
  names: readonly string[],
  known: readonly string[],
  taken: Taken,
): number | undefined {
  const lower = names.map((name) => name.toLowerCase());
  return known
    .map((name) => lower.indexOf(name))
    .find((index) => index >= 0 && !taken.includes(index));
}

/** The text of a file of unknown names: the column with the most characters, never one of numbers. */
function longestColumn(stats: readonly ColumnStats[], taken: Taken): number | undefined {
  let best: number | undefined;
  stats.forEach(({ meanLength, isNumeric }, index) => {
    if (taken.includes(index) || isNumeric) return;
    if (best === undefined || meanLength > (stats[best]?.meanLength ?? 0)) best = index;
  });
  return best;
}

/** The label of a file of unknown names: the column whose values come back most often. */
function repeatingColumn(stats: readonly ColumnStats[], taken: Taken): number | undefined {
  let best: number | undefined;
  stats.forEach(({ numDistinct, numRows }, index) => {
    if (taken.includes(index) || numDistinct < 2 || numDistinct > numRows / 2) return;
    if (best === undefined || numDistinct < (stats[best]?.numDistinct ?? 0)) best = index;
  });
  return best;
}

function isNumber(cell: string): boolean {
  return cell !== "" && Number.isFinite(Number(cell));
}
