/** Hugging Face model folders to models and back. */
import type { HostArray } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { readJsonObject, writeJson } from "../io/json.ts";
import { openModelFolder, type ModelFolder } from "../io/model-folder.ts";
import { writeSafetensors } from "../io/safetensors-writer.ts";
import { ParameterStore, type ParameterSource } from "../nn/parameters.ts";
import type { Engine } from "../tensor/engine.ts";
import { copyToHost } from "../tensor/named-tensors.ts";
import type { ModelFamily, Task } from "./architecture.ts";
import { families } from "./index.ts";
import { Model } from "./model.ts";

export interface LoadModelOptions {
  /** What the model shall do; by default what config.json's `architectures` says. */
  readonly task?: Task;
  /** Class names of a new head; by default config.json's `id2label`. */
  readonly labels?: readonly string[];
  /** Starts a classification head that the checkpoint lacks. */
  readonly headSeed?: number;
  /** Ignore the stored weights and start every parameter from this seed: the control of experiments. */
  readonly randomWeightsSeed?: number;
}

/**
 * Loads config.json and the safetensors weights of a folder. Throws CheckpointError, naming file and
 * tensor, for an unknown architecture and for missing, extra or misshapen tensors.
 */
export function loadModel(engine: Engine, folder: string, options: LoadModelOptions = {}): Model {
  const files = openModelFolder(folder);
  try {
    return fromFiles(engine, files, options);
  } finally {
    files.weights.close();
  }
}

function fromFiles(engine: Engine, files: ModelFolder, options: LoadModelOptions): Model {
  const family = findFamily(files);
  const task = options.task ?? taskOf(files, family);
  const configPath = join(files.path, "config.json");
  if (!family.tasks.includes(task)) {
    throw new CheckpointError(`${configPath}: ${family.modelType} cannot ${task}`, {
      expected: family.tasks.join(" or "),
      got: task,
    });
  }
  const labels = task === "classify" ? (options.labels ?? labelsOf(files)) : [];
  const model = (store: ParameterStore): Model =>
    new Model(store, { family, task, config: files.config, configPath, labels });
  if (options.randomWeightsSeed !== undefined) {
    return model(new ParameterStore(engine, { rng: Rng.fromSeed(options.randomWeightsSeed) }));
  }
  const source = new CheckpointSource(files, family);
  const rng = Rng.fromSeed(options.headSeed ?? 1);
  const loaded = model(new ParameterStore(engine, { source, rng }));
  source.refuseExtras();
  return loaded;
}

/** Writes config.json, model.safetensors and the tokenizer files of `tokenizerFolder`. */
export function saveModel(
  model: Model,
  folder: string,
  options: { dtype: "F32" | "F16"; tokenizerFolder?: string },
): void {
  const tensors = copyToHost(model.store.all());
  const className = model.family.className[model.task];
  const labelMaps =
    model.task === "classify"
      ? {
          id2label: Object.fromEntries(model.labels.map((label, i) => [String(i), label])),
          label2id: Object.fromEntries(model.labels.map((label, i) => [label, i])),
        }
      : {};
  const dtype = options.dtype === "F16" ? "float16" : "float32";
  const config = {
    ...model.config,
    architectures: [className],
    // transformers 5 says dtype; what it wrote must not contradict the weights.
    ...(model.config["dtype"] === undefined ? {} : { dtype }),
    torch_dtype: dtype,
    ...labelMaps,
  };
  mkdirSync(folder, { recursive: true });
  writeSafetensors(join(folder, "model.safetensors"), tensors, { dtype: options.dtype });
  writeJson(join(folder, "config.json"), config);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    const from = join(options.tokenizerFolder ?? folder, name);
    if (options.tokenizerFolder !== undefined && existsSync(from)) {
      copyFileSync(from, join(folder, name));
    }
  }
}

function findFamily({ config, path }: ModelFolder): ModelFamily {
  const family = families.find(({ modelType }) => modelType === config["model_type"]);
  if (family === undefined) {
    throw new CheckpointError(`${path}/config.json: unknown architecture`, {
      expected: `model_type ${families.map(({ modelType }) => modelType).join(" or ")}`,
      got: JSON.stringify(config["model_type"]),
      hint: "only these families are implemented",
    });
  }
  return family;
}

function taskOf({ config, path }: ModelFolder, family: ModelFamily): Task {
  const listed = Array.isArray(config["architectures"]) ? config["architectures"] : [];
  const task = family.tasks.find((candidate) => listed.includes(family.className[candidate]));
  if (task !== undefined) return task;
  throw new CheckpointError(`${path}/config.json: architectures does not say what the model is for`, {
    expected: Object.values(family.className).join(" or "),
    got: JSON.stringify(config["architectures"]),
    hint: "name the task on the command line",
  });
}

function labelsOf({ config, path }: ModelFolder): string[] {
  const labels = labelMap(config["id2label"]);
  if (labels !== undefined) return labels;
  const count = config["num_labels"];
  if (typeof count === "number") return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
  throw new CheckpointError(`${path}/config.json: the class names are not known`, {
    expected: "id2label",
    got: "nothing",
    hint: "is this a classifier? name a trained adapter or data with labels",
  });
}

function labelMap(map: unknown): string[] | undefined {
  if (typeof map !== "object" || map === null) return undefined;
  const entries = Object.entries(map as Record<string, unknown>);
  return entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, label]) => String(label));
}

/** Class names of the head that a model folder stores, in the order of its logits; none for other models. */
export function storedLabels(folder: string): string[] {
  const path = join(folder, "config.json");
  const map = existsSync(path) ? readJsonObject(path)["id2label"] : undefined;
  return labelMap(map) ?? [];
}

/** Reads by Hugging Face name, with or without the family's prefix, and remembers what was read. */
class CheckpointSource implements ParameterSource {
  readonly origin: string;
  readonly #files: ModelFolder;
  readonly #family: ModelFamily;
  readonly #read = new Set<string>();

  constructor(files: ModelFolder, family: ModelFamily) {
    this.origin = files.weights.origin;
    this.#files = files;
    this.#family = family;
  }

  read(name: string): HostArray | undefined {
    const prefix = this.#family.optionalPrefix;
    const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const stored = [name, bare].find((candidate) => this.#files.weights.tensors.has(candidate));
    if (stored === undefined) return undefined;
    this.#read.add(stored);
    return this.#files.weights.read(stored);
  }

  /** Throws CheckpointError for tensors that no layer asked for: the config describes another model. */
  refuseExtras(): void {
    const extra = [...this.#files.weights.tensors.keys()].filter(
      (name) =>
        !this.#read.has(name) && !this.#family.ignorable.some((pattern) => pattern.test(name)),
    );
    if (extra.length === 0) return;
    throw new CheckpointError(`${this.origin}: ${extra.length} tensors belong to no layer`, {
      expected: "only tensors of the model that config.json describes",
      got: extra.slice(0, 5).join(", ") + (extra.length > 5 ? ", …" : ""),
      hint: "does config.json belong to these weights (number of layers, biases)?",
    });
  }
}
