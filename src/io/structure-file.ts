/** structure.json: which units of a model are left, as `{"layers": [{"heads": [0, 2], "ffn": [1, 5, 6]}, …]}`. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parseSettings } from "../base/settings.ts";
import { isFull, type Structure, type UnitCounts } from "../base/structure.ts";
import { readJson, writeJson } from "./json.ts";

/** A structure and where it was read, for errors. */
export interface StoredStructure {
  readonly structure: Structure;
  readonly path: string;
}

const FILE = "structure.json";
const ids = v.array(v.pipe(v.number(), v.integer(), v.minValue(0)));
const schema = v.strictObject({
  layers: v.array(v.strictObject({ heads: ids, ffn: ids })),
});

/**
 * Reads a file whose units are yet to be checked against a model. Throws CheckpointError when it cannot be
 * read, ConfigError that names layer and kind when it holds something else.
 */
export function readStructureFile(path: string): StoredStructure {
  return { structure: parseSettings(path, schema, readJson(path)), path };
}

/** The structure of what a folder holds; undefined where nothing was removed. */
export function readFolderStructure(folder: string): StoredStructure | undefined {
  const path = join(folder, FILE);
  return existsSync(path) ? readStructureFile(path) : undefined;
}

/** Says in a folder what its content was pruned to, and takes out what an earlier content was. */
export function writeFolderStructure(
  folder: string,
  structure: Structure,
  counts: UnitCounts,
): void {
  const path = join(folder, FILE);
  if (isFull(structure, counts)) rmSync(path, { force: true });
  else writeJson(path, { layers: structure.layers.map(({ heads, ffn }) => ({ heads, ffn })) });
}
