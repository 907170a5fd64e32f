/** Reads settings by a schema and says in plain words what is wrong with them. */
import * as v from "valibot";
import { closest } from "./closest.ts";
import { ConfigError } from "./errors.ts";

/** Settings with their defaults filled in. Throws ConfigError naming the first wrong key, and for an unknown key the nearest known. */
export function parseSettings<S extends v.GenericSchema>(
  what: string,
  schema: S,
  input: unknown,
): v.InferOutput<S> {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue);
  if (issue.type === "strict_object" && issue.expected === "never")
    throw unknownKey(what, path ?? "", issue, schema);
  const isMissing = issue.received === "undefined";
  throw new ConfigError(`${what}: ${path ?? "the whole file"}${isMissing ? " is missing" : ""}`, {
    expected: issue.expected ?? issue.message,
    ...(isMissing ? {} : { got: issue.received }),
  });
}

function unknownKey(
  what: string,
  path: string,
  issue: v.BaseIssue<unknown>,
  schema: v.GenericSchema,
): ConfigError {
  const keys = path.split(".");
  const key = keys.at(-1) ?? "";
  const known = knownKeys(schema, keys.slice(0, -1), issue.path?.at(-2)?.value);
  const near = closest(key, known);
  return new ConfigError(`${what}: unknown key ${path}`, {
    hint: near === undefined ? `known keys: ${known.join(", ")}` : `did you mean ${near}?`,
  });
}

/** The keys that the schema knows at a path; `value` is the object found there and picks the branch of a variant. */
function knownKeys(schema: v.GenericSchema, path: readonly string[], value: unknown): string[] {
  let here: unknown = schema;
  for (const key of path) here = entriesOf(unwrap(here))[key];
  const inner = unwrap(here);
  if (!isRecord(inner) || !Array.isArray(inner["options"])) return Object.keys(entriesOf(inner));
  const kind = isRecord(value) ? value["kind"] : undefined;
  const branches = inner["options"].map((option: unknown) => entriesOf(option));
  const branch = branches.find(
    (entries) => isRecord(entries["kind"]) && entries["kind"]["literal"] === kind,
  );
  return branch === undefined ? branches.flatMap(Object.keys) : Object.keys(branch);
}

/** The schema inside an optional or nullable one. */
function unwrap(schema: unknown): unknown {
  return isRecord(schema) && schema["wrapped"] !== undefined ? unwrap(schema["wrapped"]) : schema;
}

function entriesOf(schema: unknown): Record<string, unknown> {
  const entries = isRecord(schema) ? schema["entries"] : undefined;
  return isRecord(entries) ? entries : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
