/** JSON files whose errors name the file. */
import { readFileSync } from "node:fs";
import { CheckpointError } from "../base/errors.ts";
import { writeFileAtomic } from "./atomic-file.ts";

/** The value in a JSON file. Throws CheckpointError when it is missing or malformed. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CheckpointError(`cannot read ${path}`, { cause });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CheckpointError(`${path} is not JSON`, { cause });
  }
}

/** The object in a JSON file. Throws CheckpointError when it holds anything else. */
export function readJsonObject(path: string): Record<string, unknown> {
  const value = readJson(path);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new CheckpointError(`${path} holds the wrong thing`, {
    expected: "a JSON object",
    got: Array.isArray(value) ? "a list" : JSON.stringify(value),
  });
}

/** Writes `value` with two-space indentation, atomically. Throws DataError when the disk refuses. */
export function writeJson(path: string, value: unknown): void {
  writeFileAtomic(path, [Buffer.from(`${JSON.stringify(value, null, 2)}\n`)]);
}
