/** A tiny base model and data that device processes of a test can train on. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { examples } from "./tiny-device.ts";
import { copyTinyModel } from "./tiny-model.ts";

export interface TinyFleetModel {
  readonly base: string;
  /** Path of labelled texts. */
  readonly data: string;
  readonly labels: string[];
}

/** Writes both into the folder. */
export function tinyFleetModel(folder: string): TinyFleetModel {
  const base = copyTinyModel("bert-classify", folder, { tokenizer: "encoder" });
  const data = join(folder, "data.jsonl");
  const rows = examples(24);
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return { base, data, labels: [...new Set(rows.map(({ label }) => label))].sort() };
}
