/** Reads the one JSON file that configures a process, with paths relative to it. */
import { dirname, isAbsolute, join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import { readJson } from "../io/json.ts";

/** The parsed file with the named path settings made absolute. Throws ConfigError. */
export function readConfigFile(path: string, pathKeys: readonly string[]): unknown {
  let input: unknown;
  try {
    input = readJson(path);
  } catch (cause) {
    throw new ConfigError(`configuration ${path}`, { cause });
  }
  if (typeof input !== "object" || input === null) return input;
  const resolved: Record<string, unknown> = { ...input };
  for (const key of pathKeys) {
    const value = resolved[key];
    if (typeof value === "string" && !isAbsolute(value)) {
      resolved[key] = join(dirname(path), value);
    }
  }
  return resolved;
}
