/** Adapter folders: PEFT's two files, and labels.json with the class names that PEFT has no place for. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { readJson, writeJson } from "../io/json.ts";
import { readPeftAdapter, writePeftAdapter, type PeftAdapter } from "../io/peft.ts";
import type { Task } from "../models/architecture.ts";
import type { Model } from "../models/model.ts";
import { AdaptedModel } from "../train/adapted-model.ts";

const LABELS_FILE = "labels.json";
const labelsSchema = v.pipe(v.array(v.string()), v.minLength(1));

const peftTasks: Readonly<Partial<Record<Task, string>>> = {
  classify: "SEQ_CLS",
  "causal-lm": "CAUSAL_LM",
};

/** What an adapter file holds beside its weights, as far as it is needed to attach them. */
export interface AdapterShape {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly string[];
  readonly dropout: number;
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
}

/** Writes an adapter of the model's task; `values` holds factors and saved modules by full name. */
export function saveAdapter(
  folder: string,
  model: Model,
  shape: AdapterShape,
  values: NamedArrays,
  baseModel: string,
): void {
  mkdirSync(folder, { recursive: true });
  const isFactor = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);
  const saved = [...values.keys()].filter((name) => !isFactor(name));
  writePeftAdapter(folder, {
    ...shape,
    rankPattern: shape.rankPattern ?? {},
    alphaPattern: shape.alphaPattern ?? {},
    taskType: peftTasks[model.task] ?? null,
    modulesToSave: [...new Set(saved.map((name) => name.slice(0, name.lastIndexOf("."))))],
    baseModel,
    tensors: values,
  });
  if (model.task === "classify") writeJson(join(folder, LABELS_FILE), model.labels);
}

export interface StoredAdapter {
  readonly path: string;
  readonly peft: PeftAdapter;
  readonly task: Task | undefined;
  readonly labels: readonly string[] | undefined;
}

/** Reads an adapter folder, or a bare safetensors file whose alpha is given. Throws CheckpointError. */
export function readAdapter(path: string, bareAlpha?: number): StoredAdapter {
  const peft = readPeftAdapter(path, bareAlpha);
  const task = (Object.keys(peftTasks) as Task[]).find((key) => peftTasks[key] === peft.taskType);
  return { path, peft, task, labels: readLabels(path) };
}

/** Attaches a stored adapter with its saved modules. Throws CheckpointError when it does not fit. */
export function attachStored(model: Model, { path, peft }: StoredAdapter): AdaptedModel {
  const { rank, alpha, targets, rankPattern, alphaPattern, dropout } = peft;
  const adapted = AdaptedModel.attach(model, {
    lora: { rank, alpha, targets, rankPattern, alphaPattern, dropout },
    trainHead: model.task === "classify",
    seed: 0,
  });
  const known = new Set(adapted.parameters().map(({ name }) => name));
  const extra = [...peft.tensors.keys()].filter((name) => !known.has(name));
  if (extra.length > 0) {
    throw new CheckpointError(`${path}: ${extra.length} tensors belong to no layer of the model`, {
      expected: "factors of the model's blocks and, for a classifier, its head",
      got: extra.slice(0, 5).join(", ") + (extra.length > 5 ? ", …" : ""),
      hint: "was the adapter trained on this base?",
    });
  }
  adapted.load(peft.tensors, path);
  return adapted;
}

function readLabels(folder: string): string[] | undefined {
  const path = join(folder, LABELS_FILE);
  if (!existsSync(path)) return undefined;
  const result = v.safeParse(labelsSchema, readJson(path));
  if (result.success) return result.output;
  throw new CheckpointError(path, { expected: "a list of class names" });
}
