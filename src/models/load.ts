/** Hugging Face model folders to models and back. */
import type { HostArray } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import { checkStructure, fullStructure, isFull, type Structure } from "../base/structure.ts";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeJson } from "../io/json.ts";
import { openModelFolder, type ModelFolder } from "../io/model-folder.ts";
import { writeSafetensors } from "../io/safetensors-writer.ts";
import { ParameterStore, type Cut, type ParameterSource } from "../nn/parameters.ts";
import type { Engine } from "../tensor/engine.ts";
import { copyToHost } from "../tensor/named-tensors.ts";
import type { ModelFamily } from "./architecture.ts";
import { describeConfig, type ModelDescription, type Purpose } from "./description.ts";
import { Model } from "./model.ts";
import { modelShape, unitCounts } from "./shape.ts";
import { cut, keptOfParameters } from "./units.ts";

export interface LoadModelOptions extends Purpose {
  /** Starts a classification head that the checkpoint lacks. */
  readonly headSeed?: number;
  /** Ignore the stored weights and start every parameter from this seed: the control of experiments. */
  readonly randomWeightsSeed?: number;
  /** Units to load; the others take no engine memory. */
  readonly structure?: Structure;
  /** Where the structure was read, for errors. */
  readonly structureOrigin?: string;
}

/**
 * Loads config.json and the safetensors weights of a folder. Throws CheckpointError, naming file and
 * tensor, for an unknown architecture and for missing, extra or misshapen tensors; ConfigError for a
 * structure of another model.
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
  const description = describeConfig(files.config, join(files.path, "config.json"), options);
  const structure = options.structure ?? fullStructure(unitCounts(description.architecture));
  const cut = cutterTo(structure, description, options.structureOrigin ?? "structure");
  if (options.randomWeightsSeed !== undefined) {
    const rng = Rng.fromSeed(options.randomWeightsSeed);
    return new Model(new ParameterStore(engine, { rng, cut }), description, structure);
  }
  const source = new CheckpointSource(files, description.family);
  const rng = Rng.fromSeed(options.headSeed ?? 1);
  const store = new ParameterStore(engine, { source, rng, cut });
  const loaded = new Model(store, description, structure);
  source.refuseExtras();
  return loaded;
}

/** Cuts parameters to the structure. Throws ConfigError for a structure of another model. */
function cutterTo(structure: Structure, description: ModelDescription, origin: string): Cut {
  const shape = modelShape(description);
  checkStructure(structure, shape.units, origin);
  if (isFull(structure, shape.units)) return (_name, whole) => whole;
  const kept = keptOfParameters(shape, structure);
  return (name, whole) => cut(whole, kept.get(name));
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
