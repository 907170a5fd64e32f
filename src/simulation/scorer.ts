/** Scores global adapters on the held-out examples, with one engine per worker. */
import type { Structure } from "../base/structure.ts";
import type { Sequence } from "../data/batch.ts";
import { encodeDataset } from "../data/sequences.ts";
import { decodeAdapterFile } from "../io/adapter-file.ts";
import { loadModel } from "../models/load.ts";
import type { Model } from "../models/model.ts";
import { Engine } from "../tensor/engine.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { attachState } from "../train/attach-state.ts";
import { evaluateClassifier } from "../train/evaluate.ts";
import type { ScoreJob, ScoreResult, WorkerSetup } from "./trainer-jobs.ts";

const BATCH_SIZE = 32;

export class Scorer {
  readonly #whole: Model;
  readonly #tokenizer: Tokenizer;
  readonly #setup: WorkerSetup;
  #sequences: { readonly maxTokens: number; readonly items: Sequence[] } | undefined;

  /** For models that are not whole, one after another; they would leave much memory behind as engines of their own. */
  readonly #cutEngine: Engine;

  constructor(setup: WorkerSetup) {
    this.#setup = setup;
    this.#cutEngine = Engine.create({ kernels: setup.kernels });
    this.#whole = this.#load();
    this.#tokenizer = loadTokenizer(setup.baseFolder);
  }

  score({ adapter, structure, maxTokens }: ScoreJob): ScoreResult {
    const model = structure === null ? this.#whole : this.#load(structure);
    const sequences = this.#encoded(maxTokens);
    const settings = { batchSize: BATCH_SIZE };
    const adapted =
      adapter === null ? null : attachState(model, decodeAdapterFile(adapter, "global adapter"));
    try {
      const { accuracy, loss, macroF1 } = evaluateClassifier(model, sequences, settings);
      return { accuracy, loss, macroF1 };
    } finally {
      adapted?.detach();
    }
  }

  #load(structure?: Structure): Model {
    const { baseFolder, labels, kernels, baseDtype } = this.#setup;
    const task = "classify";
    if (structure === undefined) {
      return loadModel(Engine.create({ kernels }), baseFolder, { task, labels, baseDtype });
    }
    this.#cutEngine.clear();
    return loadModel(this.#cutEngine, baseFolder, { task, labels, structure, baseDtype });
  }

  #encoded(maxTokens: number): Sequence[] {
    const limit = Math.min(maxTokens, this.#whole.architecture.maxPositions);
    if (this.#sequences?.maxTokens !== limit) {
      const { test: examples, labels } = this.#setup;
      const items = encodeDataset({ examples, labels }, this.#tokenizer, limit);
      this.#sequences = { maxTokens: limit, items };
    }
    return this.#sequences.items;
  }
}
