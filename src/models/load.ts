/** Hugging Face model folders to models. */
import type { HostArray } from "../base/arrays.ts";
import { CheckpointError, ConfigError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import {
  checkStructure,
  fullStructure,
  isFull,
  isSubset,
  type Structure,
} from "../base/structure.ts";
import { join } from "node:path";
import { openModelFolder, type ModelFolder } from "../io/model-folder.ts";
import { ParameterStore, type Cut, type ParameterSource } from "../nn/parameters.ts";
import type { Engine } from "../tensor/engine.ts";
import type { ModelFamily } from "./architecture.ts";
import { describeConfig, type ModelDescription, type Purpose } from "./description.ts";
import { Model } from "./model.ts";
import { modelShape, unitCounts } from "./shape.ts";
import { ownedSides, spread, type OwnedSides } from "./spread.ts";
import { storedStructure } from "./stored-structure.ts";
import { cut, keptOfParameters } from "./units.ts";

export interface LoadModelOptions extends Purpose {
  /** Starts a classification head that the checkpoint lacks. */
  readonly headSeed?: number;
  /** Ignore the stored weights and start every parameter from this seed: the control of experiments. */
  readonly randomWeightsSeed?: number;
  /** Units to load, by default all that the folder holds; the others take no engine memory. */
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
  const configPath = join(files.path, "config.json");
  const description = describeConfig(files.config, configPath, options);
  const stored = storedStructure(description, configPath);
  const structure = options.structure ?? stored ?? fullStructure(unitCounts(description.architecture));
  const origin = options.structureOrigin ?? "structure";
  const cut = cutterTo(structure, description, origin);
  if (stored !== undefined && !isSubset(structure, stored)) {
    throw new ConfigError(`${origin}: units that ${files.path} does not hold`, {
      expected: "a subset of the units that the folder was pruned to",
      hint: "leave the structure out, or load the unpruned model",
    });
  }
  if (options.randomWeightsSeed !== undefined) {
    const rng = Rng.fromSeed(options.randomWeightsSeed);
    return new Model(new ParameterStore(engine, { rng, cut }), description, structure);
  }
  const sides = stored && ownedSides(modelShape(description), stored);
  const source = new CheckpointSource(files, description.family, sides);
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

/** Reads by Hugging Face name, with or without the family's prefix, and remembers what was read. */
class CheckpointSource implements ParameterSource {
  readonly origin: string;
  readonly #files: ModelFolder;
  readonly #family: ModelFamily;
  readonly #sides: ReadonlyMap<string, OwnedSides> | undefined;
  readonly #read = new Set<string>();

  /** `sides`: what a compact folder holds of each parameter. */
  constructor(
    files: ModelFolder,
    family: ModelFamily,
    sides: ReadonlyMap<string, OwnedSides> | undefined,
  ) {
    this.origin = files.weights.origin;
    this.#files = files;
    this.#family = family;
    this.#sides = sides;
  }

  read(name: string): HostArray | undefined {
    const prefix = this.#family.optionalPrefix;
    const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const stored = [name, bare].find((candidate) => this.#files.weights.tensors.has(candidate));
    if (stored === undefined) return undefined;
    this.#read.add(stored);
    const host = this.#files.weights.read(stored);
    return host && spread(host, this.#sides?.get(name), `${this.origin}: tensor ${stored}`);
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
