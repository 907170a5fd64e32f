/** What a config.json says a model is: family, task, sizes, head and class names, without its weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { readJsonObject } from "../io/json.ts";
import type { Architecture, HeadSpec, ModelFamily, Task } from "./architecture.ts";
import { ConfigFile } from "./config-file.ts";
import { families } from "./index.ts";

export interface ModelOptions {
  readonly family: ModelFamily;
  readonly task: Task;
  /** The parsed config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Its path, for errors. */
  readonly configPath?: string;
  /** Class names for task "classify"; their order is the order of the logits. */
  readonly labels?: readonly string[];
}

export interface ModelDescription {
  readonly family: ModelFamily;
  readonly task: Task;
  readonly config: Readonly<Record<string, unknown>>;
  readonly labels: readonly string[];
  readonly architecture: Architecture;
  readonly head: HeadSpec;
}

/** Reads sizes and head out of a config. Throws CheckpointError that names the key. */
export function describeModel(options: ModelOptions): ModelDescription {
  const { family, task, config, configPath, labels = [] } = options;
  const reader = new ConfigFile(config, configPath);
  const architecture = family.architecture(reader);
  reader.checkSizes(architecture);
  return { family, task, config, labels, architecture, head: family.head(task, reader) };
}

export interface Purpose {
  /** What the model shall do; by default what config.json's `architectures` says. */
  readonly task?: Task;
  /** Class names of a new head; by default config.json's `id2label`. */
  readonly labels?: readonly string[];
}

/** Describes the model of a config.json for a purpose. Throws CheckpointError that names file and key. */
export function describeConfig(
  config: Readonly<Record<string, unknown>>,
  configPath: string,
  purpose: Purpose,
): ModelDescription {
  const family = findFamily(config, configPath);
  const task = purpose.task ?? taskOf(config, configPath, family);
  if (!family.tasks.includes(task)) {
    throw new CheckpointError(`${configPath}: ${family.modelType} cannot ${task}`, {
      expected: family.tasks.join(" or "),
      got: task,
    });
  }
  const labels = task === "classify" ? (purpose.labels ?? labelsOf(config, configPath)) : [];
  return describeModel({ family, task, config, configPath, labels });
}

/** Class names of the head that a model folder stores, in the order of its logits; none for other models. */
export function storedLabels(folder: string): string[] {
  const path = join(folder, "config.json");
  const map = existsSync(path) ? readJsonObject(path)["id2label"] : undefined;
  return labelMap(map) ?? [];
}

function findFamily(config: Readonly<Record<string, unknown>>, configPath: string): ModelFamily {
  const family = families.find(({ modelType }) => modelType === config["model_type"]);
  if (family === undefined) {
    throw new CheckpointError(`${configPath}: unknown architecture`, {
      expected: `model_type ${families.map(({ modelType }) => modelType).join(" or ")}`,
      got: JSON.stringify(config["model_type"]),
      hint: "only these families are implemented",
    });
  }
  return family;
}

function taskOf(
  config: Readonly<Record<string, unknown>>,
  configPath: string,
  family: ModelFamily,
): Task {
  const listed = Array.isArray(config["architectures"]) ? config["architectures"] : [];
  const task = family.tasks.find((candidate) => listed.includes(family.className[candidate]));
  if (task !== undefined) return task;
  throw new CheckpointError(`${configPath}: architectures does not say what the model is for`, {
    expected: Object.values(family.className).join(" or "),
    got: JSON.stringify(config["architectures"]),
    hint: "name the task on the command line",
  });
}

function labelsOf(config: Readonly<Record<string, unknown>>, configPath: string): string[] {
  const labels = labelMap(config["id2label"]);
  if (labels !== undefined) return labels;
  const count = config["num_labels"];
  if (typeof count === "number") return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
  throw new CheckpointError(`${configPath}: the class names are not known`, {
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
