/** Named parameters, filled from a checkpoint or at random, in the format that the base is held in. */
import { hostArray, shapeText, type HostArray } from "../base/arrays.ts";
import type { BaseDtype } from "../base/base-dtype.ts";
import { CheckpointError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  fillTensor,
  inMemory,
  keptShape,
  type Kept,
  type ParameterSource,
  type SourceTensor,
} from "./source.ts";

export interface Parameter {
  /** Full name in checkpoints, Hugging Face style. */
  readonly name: string;
  readonly tensor: Tensor;
}

/** How a parameter starts when no checkpoint has it. */
export type Init = { kind: "normal"; std: number } | { kind: "constant"; value: number };

/** The parameters of one model by name; loads or initialises each on first mention. */
export class ParameterStore {
  readonly engine: Engine;
  /** The format of frozen matrices. */
  readonly dtype: BaseDtype;
  readonly #source: ParameterSource | undefined;
  readonly #rng: Rng | undefined;
  readonly #keptOf: (name: string) => Kept | undefined;
  readonly #parameters = new Map<string, Parameter>();
  readonly #fresh = new Set<string>();

  /**
   * Without a source everything is initialised from `rng`; without `rng` a missing tensor is an error.
   * Of a parameter only what `keptOf` says takes engine memory; matrices that nobody trains are held in `dtype`, f32 by
   * default.
   */
  constructor(
    engine: Engine,
    options: {
      source?: ParameterSource;
      rng?: Rng;
      keptOf?: (name: string) => Kept | undefined;
      dtype?: BaseDtype;
    },
  ) {
    this.engine = engine;
    this.dtype = options.dtype ?? "f32";
    this.#source = options.source;
    this.#rng = options.rng;
    this.#keptOf = options.keptOf ?? (() => undefined);
  }

  /**
   * The parameter of that name and (before a cut) shape. Names in `aliases` are tried next in the source.
   * One that is to be `trained` is held in f32. Throws CheckpointError when the source lacks it (and `init` may not
   * replace it) or has another shape.
   */
  take(
    name: string,
    shape: readonly number[],
    options: { init: Init; aliases?: readonly string[]; optional?: boolean; trained?: boolean },
  ): Parameter {
    const existing = this.#parameters.get(name);
    if (existing !== undefined) return existing;
    const candidates = [name, ...(options.aliases ?? [])];
    const whole = this.#open(candidates, shape) ?? inMemory(this.#initialise(name, shape, options));
    const kept = this.#keptOf(name);
    const dtype = shape.length === 2 && options.trained !== true ? this.dtype : "f32";
    const tensor = this.engine.empty(keptShape(shape, kept), "weights", dtype);
    fillTensor(this.engine, tensor, whole, kept);
    const parameter = { name, tensor };
    this.#parameters.set(name, parameter);
    return parameter;
  }

  get(name: string): Parameter | undefined {
    return this.#parameters.get(name);
  }

  /** Whether the parameter was started here because the source had none. */
  isFresh(name: string): boolean {
    return this.#fresh.has(name);
  }

  /** Every parameter in the order of first mention. */
  all(): Parameter[] {
    return [...this.#parameters.values()];
  }

  /** Takes a parameter out and frees its memory. */
  remove(name: string): void {
    const parameter = this.#parameters.get(name);
    if (parameter === undefined) return;
    this.#parameters.delete(name);
    this.engine.free(parameter.tensor);
  }

  #open(names: readonly string[], shape: readonly number[]): SourceTensor | undefined {
    for (const name of names) {
      const stored = this.#source?.open(name);
      if (stored === undefined) continue;
      if (shapeText(stored.shape) !== shapeText(shape)) {
        throw new CheckpointError(`${this.#source?.origin}: tensor ${name} has another shape`, {
          expected: shapeText(shape),
          got: shapeText(stored.shape),
          hint: "does config.json belong to these weights?",
        });
      }
      return stored;
    }
    return undefined;
  }

  #initialise(
    name: string,
    shape: readonly number[],
    { init, optional }: { init: Init; optional?: boolean },
  ): HostArray {
    if (this.#source !== undefined && optional !== true) {
      throw new CheckpointError(`${this.#source.origin}: tensor ${name} is missing`, {
        expected: shapeText(shape),
        got: "nothing of that name",
        hint: "is the download complete, and is this the model that config.json describes?",
      });
    }
    this.#fresh.add(name);
    const host = hostArray(shape);
    const { data } = host;
    if (init.kind === "constant") {
      data.fill(init.value);
    } else {
      const rng = this.#rng?.fork(name);
      if (rng === undefined) {
        throw new CheckpointError(`tensor ${name} is missing and no seed was given to start it`);
      }
      for (let i = 0; i < data.length; i++) data[i] = init.std * rng.normal();
    }
    return host;
  }
}
