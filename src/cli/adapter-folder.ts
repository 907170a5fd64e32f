/** Adapter folders: PEFT's two files, and what PEFT has no place for: labels.json, structure.json of a pruned model. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { isFull, type Structure } from "../base/structure.ts";
import { readJson, writeJson } from "../io/json.ts";
import { readPeftAdapter, writePeftAdapter, type PeftAdapter } from "../io/peft.ts";
import {
  readFolderStructure,
  readStructureFile,
  writeFolderStructure,
  type StoredStructure,
} from "../io/structure-file.ts";
import type { Task } from "../models/architecture.ts";
import type { Model } from "../models/model.ts";
import { cutAdapter } from "../models/units.ts";
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

/**
 * Writes an adapter of the model's task; `values` holds factors and saved modules by full name, sliced to
 * `structure`: the model's own unless given.
 */
export function saveAdapter(
  folder: string,
  model: Model,
  shape: AdapterShape,
  values: NamedArrays,
  baseModel: string,
  structure: Structure = model.structure,
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
  writeFolderStructure(folder, structure, model.shape.units);
}

export interface StoredAdapter {
  readonly path: string;
  readonly peft: PeftAdapter;
  readonly task: Task | undefined;
  readonly labels: readonly string[] | undefined;
  /** What the factors were sliced to; undefined for an adapter of the whole model. */
  readonly pruned: StoredStructure | undefined;
}

/** Reads an adapter folder, or a bare safetensors file whose alpha is given. Throws CheckpointError. */
export function readAdapter(path: string, bareAlpha?: number): StoredAdapter {
  const peft = readPeftAdapter(path, bareAlpha);
  const task = (Object.keys(peftTasks) as Task[]).find((key) => peftTasks[key] === peft.taskType);
  return { path, peft, task, labels: readLabels(path), pruned: readFolderStructure(path) };
}

/** Attaches a stored adapter with its saved modules. Throws CheckpointError when it does not fit. */
export function attachStored(model: Model, stored: StoredAdapter): AdaptedModel {
  const { path, peft } = stored;
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
  adapted.load(fittingValues(model, stored), path);
  return adapted;
}

/**
 * The values of a stored adapter in the shape that the model has now: an adapter of the whole model is cut to
 * the model's structure. Throws CheckpointError for one that was sliced to another structure.
 */
export function fittingValues(model: Model, { path, peft, pruned }: StoredAdapter): NamedArrays {
  const { shape, structure } = model;
  if (pruned === undefined) {
    return isFull(structure, shape.units)
      ? peft.tensors
      : cutAdapter(peft.tensors, shape, structure, path);
  }
  const layer = differingLayer(pruned.structure, structure);
  if (layer === undefined) return peft.tensors;
  throw new CheckpointError(`${path}: the adapter belongs to another structure`, {
    expected: unitText(structure, layer),
    got: `${unitText(pruned.structure, layer)}, by ${pruned.path}`,
    hint: "leave --structure out: the adapter brings its own",
  });
}

/**
 * What to prune a model to before the adapter is attached: the structure of a file, else the adapter's own.
 * Throws as {@link readStructureFile}.
 */
export function structureFor(
  path: string | undefined,
  adapter: StoredAdapter | null,
): StoredStructure | undefined {
  return path === undefined ? adapter?.pruned : readStructureFile(path);
}

function differingLayer(a: Structure, b: Structure): number | undefined {
  const count = Math.max(a.layers.length, b.layers.length);
  const layers = Array.from({ length: count }, (_, i) => i);
  return layers.find((i) => JSON.stringify(a.layers[i]) !== JSON.stringify(b.layers[i]));
}

function unitText({ layers }: Structure, layer: number): string {
  const { heads = [], ffn = [] } = layers[layer] ?? {};
  const list = (ids: readonly number[]): string =>
    ids.length > 6 ? `${ids.slice(0, 6).join(", ")}, …` : ids.join(", ");
  return `layer ${layer} with heads ${list(heads)} and channels ${list(ffn)}`;
}

function readLabels(folder: string): string[] | undefined {
  const path = join(folder, LABELS_FILE);
  if (!existsSync(path)) return undefined;
  const result = v.safeParse(labelsSchema, readJson(path));
  if (result.success) return result.output;
  throw new CheckpointError(path, { expected: "a list of class names" });
}
