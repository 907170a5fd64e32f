/** The one base model that a device holds in memory, in the structure that it needs just now. */
import type { BaseDtype } from "../../base/base-dtype.ts";
import { isSameStructure, isSubset, type Structure } from "../../base/structure.ts";
import { loadModel } from "../../models/load.ts";
import type { Model } from "../../models/model.ts";
import { sliceModel } from "../../pruning/slice.ts";
import { Engine, type EngineOptions } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";

export interface ResidentBaseOptions {
  readonly folder: string;
  readonly labels: readonly string[];
  readonly kernels: NonNullable<EngineOptions["kernels"]>;
  /** How weights that nobody trains are held; float32 by default. */
  readonly baseDtype?: BaseDtype;
  /** One when absent. */
  readonly threads?: NonNullable<EngineOptions["threads"]>;
  /** By default a new one each time, so that memory which a smaller model does not need goes back to the system. */
  readonly createEngine?: () => Engine;
}

interface Resident {
  readonly model: Model;
  /** Bytes of weights that the engine was made for. */
  readonly loadedBytes: number;
  /** The head as it was loaded: where a run starts, also when an earlier one trained it here. */
  readonly freshHead: readonly { readonly tensor: Tensor; readonly values: Float32Array }[];
}

/** Slicing in place frees memory for other tensors but returns none to the system; from this share on a new engine does. */
const RELOAD_SHARE = 0.1;

export class ResidentBase {
  readonly #options: ResidentBaseOptions;
  #resident: Resident | undefined;

  constructor(options: ResidentBaseOptions) {
    this.#options = options;
  }

  /**
   * The base with exactly these units, with the head that the run starts from and no adapter. Units go in place; when they
   * come back, or when a good part of the weights is gone, the base is loaded into a new engine. Models that
   * were returned before must not be used any more. Throws CheckpointError for a bad folder.
   */
  in(structure: Structure): Model {
    const resident = this.#sliced(structure) ?? this.#load(structure);
    for (const { tensor, values } of resident.freshHead) tensor.f32.set(values);
    return resident.model;
  }

  /** Says that the weights are no longer the base's: the next use loads them anew. */
  discard(): void {
    // An engine of the caller's own goes on to serve others.
    if (this.#options.createEngine === undefined) this.#resident?.model.engine.dispose();
    this.#resident = undefined;
  }

  #sliced(structure: Structure): Resident | undefined {
    const resident = this.#resident;
    if (resident === undefined) return undefined;
    const { model, loadedBytes } = resident;
    if (isSameStructure(structure, model.structure)) return resident;
    if (!isSubset(structure, model.structure)) return undefined;
    sliceModel(model, structure);
    const freed = loadedBytes - model.engine.stats.weights;
    return freed > RELOAD_SHARE * loadedBytes ? undefined : resident;
  }

  #load(structure: Structure): Resident {
    const { folder, labels, kernels, threads = 1, baseDtype, createEngine } = this.#options;
    // First of all let go of the engine before: the two shall not be there at the same time.
    this.discard();
    const engine = createEngine?.() ?? Engine.create({ kernels, threads });
    // The head must start alike on every device, or averaging the first round means nothing.
    const model = loadModel(engine, folder, {
      ...{ task: "classify", labels, headSeed: 1, structure },
      ...(baseDtype === undefined ? {} : { baseDtype }),
    });
    const freshHead = model
      .headParameters()
      .map(({ tensor }) => ({ tensor, values: tensor.toHost() }));
    this.#resident = { model, loadedBytes: engine.stats.weights, freshHead };
    return this.#resident;
  }
}
