/** The tiny random models under test/fixtures, what PyTorch says about them, and altered copies. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NamedArrays } from "../../src/base/arrays.ts";
import type { Sequence } from "../../src/data/batch.ts";
import { readJsonObject, writeJson } from "../../src/io/json.ts";
import { readAll, Safetensors } from "../../src/io/safetensors.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { wordPieceFiles } from "../../src/text/train-vocabulary.ts";
import { fixture } from "./fixtures.ts";

export type TinyName =
  "bert-classify" | "bert-masked" | "llama-tied" | "llama-untied" | "llama-classify";

/** A gradient in few numbers: length, sum of g_i cos(i), first four elements. */
export interface GradientDigest {
  readonly l2: number;
  readonly wave: number;
  readonly first4: readonly number[];
}

/** See tools/make-fixtures.py, which writes it. */
export interface TinyReference {
  readonly rows: number[][];
  /** Class indices, or token labels [rows][padded length] where -100 is not predicted. */
  readonly labels: number[] | number[][];
  readonly hidden_states_of_row_0: number[][][];
  readonly loss_of_row_0: number;
  /** Per row: label logits, or vocabulary logits of its last token. */
  readonly last_logits: number[][];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, GradientDigest>>;
  readonly lora?: TinyLora;
}

export interface TinyLora {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: string[];
  readonly rate: number;
  readonly weight_decay: number;
  /** Indices of the rows in each batch, used in turn. */
  readonly batches: number[][];
  readonly losses: number[];
  readonly first_gradients: Readonly<Record<string, GradientDigest>>;
  readonly final_last_logits: number[][];
}

export function tinyFolder(name: TinyName): string {
  return fixture("tiny", name);
}

export function tinyReference(name: TinyName): TinyReference {
  return JSON.parse(
    readFileSync(join(tinyFolder(name), "reference.json"), "utf8"),
  ) as TinyReference;
}

/** The reference's rows, with class indices where it has them. */
export function tinySequences({ rows, labels }: TinyReference): Sequence[] {
  return rows.map((ids, i) => {
    const label = labels[i];
    return typeof label === "number" ? { ids, label } : { ids };
  });
}

export function readTensors(folder: string): NamedArrays {
  const file = Safetensors.open(join(folder, "model.safetensors"));
  const tensors = readAll(file);
  file.close();
  return tensors;
}

export interface ModelEdits {
  /** Fields of config.json to replace; undefined takes one out. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tensors?: (tensors: NamedArrays) => void;
  /** F32 unless given. */
  readonly dtype?: "F32" | "F16";
  /** Write a tokenizer whose words are {@link tinyWords}. */
  readonly tokenizer?: "encoder" | "causal";
}

/** Writes an altered copy of a tiny model to `folder` and returns `folder`. */
export function copyTinyModel(name: TinyName, folder: string, edits: ModelEdits = {}): string {
  mkdirSync(folder, { recursive: true });
  const config = readJsonObject(join(tinyFolder(name), "config.json"));
  writeJson(join(folder, "config.json"), { ...config, ...edits.config });
  const tensors = readTensors(tinyFolder(name));
  edits.tensors?.(tensors);
  writeSafetensors(join(folder, "model.safetensors"), tensors, { dtype: edits.dtype ?? "F32" });
  if (edits.tokenizer !== undefined) writeTinyTokenizer(folder, edits.tokenizer);
  return folder;
}

/** The words that the tiny tokenizer knows, in the order of their ids from 5 on. */
export const tinyWords: readonly string[] = [
  ..."the a is was not and pump fan valve door room tank water air hot cold wet dry".split(" "),
  ..."open shut loud still fast slow high low on off error fine leak level".split(" "),
  ..."too very now".split(" "),
];

function writeTinyTokenizer(folder: string, purpose: "encoder" | "causal"): void {
  const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...tinyWords];
  const files = wordPieceFiles(vocabulary, { lowerCase: true, purpose, maxTokens: 24 });
  writeJson(join(folder, "tokenizer.json"), files.definition);
  writeJson(join(folder, "tokenizer_config.json"), files.config);
}
