/** Named parameters, and the source that fills them from a checkpoint or at random. */
import { hostArray, shapeText, type HostArray } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface Parameter {
  /** Full name in checkpoints, Hugging Face style. */
  readonly name: string;
  readonly tensor: Tensor;
}

/** How a parameter starts when no checkpoint has it. */
export type Init = { kind: "normal"; std: number } | { kind: "constant"; value: number };

/** Where parameters come from. */
export interface ParameterSource {
  /** Says in errors where the names were looked for. */
  readonly origin: string;
  /** The values, or undefined when this source lacks the name. */
  read(name: string): HostArray | undefined;
}

/** What is left of a parameter: takes its whole values and returns the part to keep. */
export type Cut = (name: string, whole: HostArray) => HostArray;

/** The parameters of one model by name; loads or initialises each on first mention. */
export class ParameterStore {
  readonly engine: Engine;
  readonly #source: ParameterSource | undefined;
  readonly #rng: Rng | undefined;
  readonly #cut: Cut | undefined;
  readonly #parameters = new Map<string, Parameter>();
  readonly #fresh = new Set<string>();

  /**
   * Without a source everything is initialised from `rng`; without `rng` a missing tensor is an error.
   * `cut` is applied to every parameter before it takes engine memory.
   */
  constructor(engine: Engine, options: { source?: ParameterSource; rng?: Rng; cut?: Cut }) {
    this.engine = engine;
    this.#source = options.source;
    this.#rng = options.rng;
    this.#cut = options.cut;
  }

  /**
   * The parameter of that name and (before a cut) shape. Names in `aliases` are tried next in the source.
   * Throws CheckpointError when the source lacks it (and `init` may not replace it) or has another shape.
   */
  take(
    name: string,
    shape: readonly number[],
    options: { init: Init; aliases?: readonly string[]; optional?: boolean },
  ): Parameter {
    const existing = this.#parameters.get(name);
    if (existing !== undefined) return existing;
    const candidates = [name, ...(options.aliases ?? [])];
    const whole = this.#load(candidates, shape) ?? this.#initialise(name, shape, options);
    const tensor = this.engine.fromHost(this.#cut?.(name, whole) ?? whole, "weights");
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

  #load(names: readonly string[], shape: readonly number[]): HostArray | undefined {
    for (const name of names) {
      const host = this.#source?.read(name);
      if (host === undefined) continue;
      if (shapeText(host.shape) !== shapeText(shape)) {
        throw new CheckpointError(`${this.#source?.origin}: tensor ${name} has another shape`, {
          expected: shapeText(shape),
          got: shapeText(host.shape),
          hint: "does config.json belong to these weights?",
        });
      }
      return host;
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
