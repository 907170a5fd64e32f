/** The files of the base model, put where devices can fetch them. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";

export type BaseFile = BlobRef & { readonly name: string };

/** Plain file names; everything else in the folder (hidden files, folders) stays here. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Stores every file of a model folder, sorted by name. Throws ConfigError when there is none. */
export async function storeBaseFiles(folder: string, store: BlobStore): Promise<BaseFile[]> {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    throw new ConfigError(`the base model ${folder} cannot be read`, { cause });
  }
  const names = entries
    .filter((entry) => entry.isFile() && FILE_NAME.test(entry.name))
    .map(({ name }) => name);
  const files: BaseFile[] = [];
  for (const name of names.sort()) {
    files.push({ name, ...(await store.put(readFileSync(join(folder, name)))) });
  }
  if (files.length > 0) return files;
  throw new ConfigError(`the base model ${folder} has no files`, {
    hint: "give the folder of config.json and model.safetensors",
  });
}
