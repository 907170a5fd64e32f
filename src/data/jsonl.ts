/** JSON lines: one object per line, as named columns of text or as rows of token ids. */
import * as v from "valibot";
import { basename } from "node:path";
import { DataError } from "../base/errors.ts";
import type { Row } from "./table.ts";

/** A JSON object and the 1-based line it stands on. */
export interface JsonRecord {
  readonly line: number;
  readonly value: Readonly<Record<string, unknown>>;
}

/** One example as token ids; `label` is absent where the model predicts the next token. */
export interface TokenRow {
  readonly inputIds: readonly number[];
  readonly label?: string;
}

const TokenRowSchema = v.pipe(
  v.object({
    input_ids: v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0))), v.minLength(1)),
    label: v.optional(v.union([v.string(), v.number(), v.boolean()])),
  }),
  v.transform(({ input_ids, label }): TokenRow => {
    return label === undefined
      ? { inputIds: input_ids }
      : { inputIds: input_ids, label: String(label) };
  }),
);

/** Parses every non-empty line. Throws DataError with the line of the first that is no object. */
export function readJsonLines(text: string, path: string): JsonRecord[] {
  const records: JsonRecord[] = [];
  text.split(/\r\n|\n/).forEach((source, index) => {
    if (source.trim() === "") return;
    const line = index + 1;
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch (cause) {
      throw new DataError(`${basename(path)} line ${line} is not JSON`, { cause });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new DataError(`${basename(path)} line ${line} is no row`, { expected: "an object" });
    }
    records.push({ line, value: value as Record<string, unknown> });
  });
  return records;
}

/** Columns in order of first appearance; a key that ever holds an array or object is no column. */
export function recordsToRows(records: readonly JsonRecord[]): { rows: Row[]; names: string[] } {
  const names = new Set<string>();
  const nested = new Set<string>();
  for (const { value } of records) {
    for (const [key, cell] of Object.entries(value)) {
      if (typeof cell === "object" && cell !== null) nested.add(key);
      else names.add(key);
    }
  }
  const columns = [...names].filter((name) => !nested.has(name));
  const rows = records.map(({ line, value }) => ({
    line,
    cells: columns.map((name) => cellText(value[name])),
  }));
  return { rows, names: columns };
}

/** Rows of the form {"input_ids": [...], "label": ...}. Throws DataError with line and path of a bad value. */
export function tokenRows(text: string, path: string): TokenRow[] {
  return readJsonLines(text, path).map(({ line, value }) =>
    validated(TokenRowSchema, value, path, line),
  );
}

function validated<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  path: string,
  line: number,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = v.getDotPath(issue);
  const place = `${basename(path)} line ${line}`;
  throw new DataError(where === null ? place : `${place}, "${where}"`, {
    expected: issue.expected ?? issue.type,
    got: issue.received,
  });
}

function cellText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}
