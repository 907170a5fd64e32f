/** A model and its adapter side by side in a folder, in either form of a pruned model. */
import { join } from "node:path";
import { Option } from "commander";
import { fullStructure } from "../base/structure.ts";
import { saveModel, type SavedForm } from "../models/save.ts";
import { spreadAll } from "../models/spread.ts";
import { saveAdapter } from "./adapter-folder.ts";
import type { ModelSession } from "./model-session.ts";

/** How a command names the type of written weights. */
export type WeightType = "f32" | "f16";

export interface WriteOptions {
  readonly form: SavedForm;
  readonly dtype: WeightType;
  /** Folder whose tokenizer files go along. */
  readonly tokenizerFolder: string;
}

/** --form: how a pruned model is stored. */
export function formOption(): Option {
  return new Option(
    "--form <form>",
    "of a pruned model: dense, zeros for what is gone, for any reader; compact, smaller, for fedspine",
  )
    .choices(["dense", "compact"])
    .default("dense");
}

/** --dtype: type of the written weights. */
export function weightTypeOption(): Option {
  return new Option("--dtype <type>", "type of the written weights")
    .choices(["f32", "f16"])
    .default("f32");
}

/** Writes the model without its adapter. */
export function writeModel({ model }: ModelSession, folder: string, options: WriteOptions): void {
  const { form, dtype, tokenizerFolder } = options;
  saveModel(model, folder, { form, dtype: dtype === "f16" ? "F16" : "F32", tokenizerFolder });
}

/** Folder of the adapter beside the model that {@link writeModel} wrote to `folder`. */
export function adapterFolder(folder: string): string {
  return join(folder, "adapter");
}

/** Writes the adapter, if there is one, in the shapes of the form: PEFT reads it with the dense model. */
export function writeAdapter(session: ModelSession, folder: string, form: SavedForm): void {
  const { adapted, model } = session;
  if (adapted === null) return;
  const values = adapted.export();
  const { shape, structure } = model;
  const path = adapterFolder(folder);
  if (form === "compact") saveAdapter(path, model, adapted.shape, values, folder);
  else {
    const whole = spreadAll(values, shape, structure);
    saveAdapter(path, model, adapted.shape, whole, folder, fullStructure(shape.units));
  }
}
