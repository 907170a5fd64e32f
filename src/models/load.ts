/** Hugging Face model folders to models. */
import type { BaseDtype } from "../base/base-dtype.ts";
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
import type { TensorInfo } from "../io/safetensors-header.ts";
import { ParameterStore } from "../nn/parameters.ts";
import { inMemory, type Kept, type ParameterSource, type SourceTensor } from "../nn/source.ts";
import type { Engine } from "../tensor/engine.ts";
import type { ModelFamily } from "./architecture.ts";
import { describeConfig, type ModelDescription, type Purpose } from "./description.ts";
import { Model } from "./model.ts";
import { modelShape, unitCounts } from "./shape.ts";
import { ownedSides, spread, type OwnedSides } from "./spread.ts";
import { storedStructure } from "./stored-structure.ts";
import { keptOfParameters } from "./units.ts";

export interface LoadModelOptions extends Purpose {
  /** Starts a classification head that the checkpoint lacks. */
  readonly headSeed?: number;
  /** Ignore the stored weights and start every parameter from this seed: the control of experiments. */
  readonly randomWeightsSeed?: number;
  /** Units to load, by default all that the folder holds; the others take no engine memory. */
  readonly structure?: Structure;
  /** Format of the matrices that are not trained, f32 by default. The head stays in f32. */
  readonly baseDtype?: BaseDtype;
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
  const keptOf = keptIn(structure, description, origin);
  const held = { keptOf, dtype: options.baseDtype ?? "f32" };
  if (stored !== undefined && !isSubset(structure, stored)) {
    throw new ConfigError(`${origin}: units that ${files.path} does not hold`, {
      expected: "a subset of the units that the folder was pruned to",
      hint: "leave the structure out, or load the unpruned model",
    });
  }
  if (options.randomWeightsSeed !== undefined) {
    const rng = Rng.fromSeed(options.randomWeightsSeed);
    return new Model(new ParameterStore(engine, { rng, ...held }), description, structure);
  }
  const sides = stored && ownedSides(modelShape(description), stored);
  const source = new CheckpointSource(files, description.family, sides);
  const rng = Rng.fromSeed(options.headSeed ?? 1);
  const store = new ParameterStore(engine, { source, rng, ...held });
  const loaded = new Model(store, description, structure);
  source.refuseExtras();
  return loaded;
}

/** What the structure leaves of parameters by name. Throws ConfigError for a structure of another model. */
function keptIn(
  structure: Structure,
  description: ModelDescription,
  origin: string,
): (name: string) => Kept | undefined {
  const shape = modelShape(description);
  checkStructure(structure, shape.units, origin);
  if (isFull(structure, shape.units)) return () => undefined;
  const kept = keptOfParameters(shape, structure);
  return (name) => kept.get(name);
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

  open(name: string): SourceTensor | undefined {
    const prefix = this.#family.optionalPrefix;
    const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const stored = [name, bare].find((candidate) => this.#files.weights.tensors.has(candidate));
    if (stored === undefined) return undefined;
    this.#read.add(stored);
    const { weights } = this.#files;
    const sides = this.#sides?.get(name);
    if (sides === undefined) {
      const { shape } = weights.tensors.get(stored) as TensorInfo;
      return { shape, read: (first, target) => weights.readInto(stored, first, target) };
    }
    const host = weights.read(stored);
    return host && inMemory(spread(host, sides, `${this.origin}: tensor ${stored}`));
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
