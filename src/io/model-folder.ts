/** A model folder as Hugging Face lays it out: config.json and weights in safetensors. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { readJsonObject } from "./json.ts";
import { Safetensors, ShardedSafetensors, type TensorReader } from "./safetensors.ts";

export interface ModelFolder {
  readonly path: string;
  /** The content of config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Opened; close it after the last read. */
  readonly weights: TensorReader;
}

/** Opens a model folder. Throws CheckpointError that says which file is missing or damaged. */
export function openModelFolder(path: string): ModelFolder {
  if (!existsSync(path)) {
    throw new CheckpointError(`no model folder at ${path}`, {
      hint: "give a folder with config.json, model.safetensors and tokenizer.json",
    });
  }
  return { path, config: readJsonObject(join(path, "config.json")), weights: openWeights(path) };
}

/** The weights of a folder: model.safetensors, else the shards of its index. */
export function openWeights(path: string): TensorReader {
  const single = join(path, "model.safetensors");
  if (existsSync(single)) return Safetensors.open(single);
  const index = join(path, "model.safetensors.index.json");
  if (existsSync(index)) return ShardedSafetensors.open(index);
  const names = existsSync(path) ? readdirSync(path) : [];
  const isPickled = names.some((name) => /^pytorch_model.*\.bin/.test(name));
  throw new CheckpointError(`no weights in ${path}`, {
    expected: "model.safetensors or model.safetensors.index.json",
    got: names.length > 0 ? names.slice(0, 8).join(", ") : "an empty or missing folder",
    hint: isPickled
      ? "pytorch_model.bin is not read because it can run code; save it with safe_serialization=True"
      : "is the download complete?",
  });
}
