/** Models to Hugging Face folders, whole or pruned. */
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { encodeStructure, isFull } from "../base/structure.ts";
import { writeJson } from "../io/json.ts";
import { writeSafetensors } from "../io/safetensors-writer.ts";
import { copyToHost } from "../tensor/named-tensors.ts";
import type { Model } from "./model.ts";
import { spreadAll } from "./spread.ts";
import { STRUCTURE_KEY } from "./stored-structure.ts";

/**
 * How a pruned model is stored. "dense": in its unpruned shapes with zeros for removed units, for any reader of
 * the family. "compact": in its pruned shapes, with `fedspine_structure` in config.json, for this program.
 */
export type SavedForm = "dense" | "compact";

export interface SaveModelOptions {
  readonly dtype: "F32" | "F16";
  /** "dense" by default; an unpruned model has but one form. */
  readonly form?: SavedForm;
  /** Folder whose tokenizer files go along. */
  readonly tokenizerFolder?: string;
}

/**
 * Writes config.json, model.safetensors and the tokenizer files of `tokenizerFolder`. Throws CheckpointError for a
 * model that is held in fewer bits: it would be saved with what these have lost.
 */
export function saveModel(model: Model, folder: string, options: SaveModelOptions): void {
  const { dtype: held } = model.store;
  if (held !== "f32") {
    throw new CheckpointError(`cannot save a model that is held in ${held}`, {
      expected: "f32",
      got: held,
      hint: "load the base in f32 and attach the adapter to that; adapters are saved from any base",
    });
  }
  const { structure, shape } = model;
  const isPruned = !isFull(structure, shape.units);
  const isCompact = isPruned && options.form === "compact";
  const stored = copyToHost(model.store.all());
  const tensors = isPruned && !isCompact ? spreadAll(stored, shape, structure) : stored;
  mkdirSync(folder, { recursive: true });
  writeSafetensors(join(folder, "model.safetensors"), tensors, { dtype: options.dtype });
  writeJson(join(folder, "config.json"), configOf(model, options.dtype, isCompact));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    const from = join(options.tokenizerFolder ?? folder, name);
    if (options.tokenizerFolder !== undefined && existsSync(from)) {
      copyFileSync(from, join(folder, name));
    }
  }
}

function configOf(model: Model, dtype: "F32" | "F16", isCompact: boolean): Record<string, unknown> {
  const { family, task, labels, structure, shape } = model;
  const { [STRUCTURE_KEY]: _, ...rest } = model.config;
  const name = dtype === "F16" ? "float16" : "float32";
  const labelMaps =
    task === "classify"
      ? {
          id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
          label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
        }
      : {};
  return {
    ...rest,
    architectures: [family.className[task]],
    // transformers 5 says dtype; what it wrote must not contradict the weights.
    ...(rest["dtype"] === undefined ? {} : { dtype: name }),
    torch_dtype: name,
    ...labelMaps,
    ...(isCompact ? { [STRUCTURE_KEY]: encodeStructure(structure, shape.units) } : {}),
  };
}
