/** Scores global adapters on the coordinator's own labelled texts, on the whole base or on the devices' pruned models. */
import type { AdapterState } from "../base/adapter.ts";
import type { BaseDtype } from "../base/base-dtype.ts";
import { encodeStructure, type Structure } from "../base/structure.ts";
import type { Evaluate } from "../coordinator/global-model.ts";
import { meanAndWorst } from "../coordinator/mean-and-worst.ts";
import type { Score } from "../coordinator/run-events.ts";
import type { Dataset } from "../data/examples.ts";
import { encodeDataset } from "../data/sequences.ts";
import { loadModel } from "../models/load.ts";
import type { Model } from "../models/model.ts";
import { readModelShape } from "../models/shape.ts";
import { narrow } from "../strategies/aggregation/narrow.ts";
import { Engine, type EngineOptions } from "../tensor/engine.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { attachState } from "../train/attach-state.ts";
import { evaluateClassifier } from "../train/evaluate.ts";

export interface CentralEvaluationOptions {
  readonly baseFolder: string;
  readonly test: Dataset;
  readonly maxTokens: number;
  readonly kernels: NonNullable<EngineOptions["kernels"]>;
  readonly baseDtype: BaseDtype;
}

const BATCH_SIZE = 32;

/** A function that scores an adapter, or for null the base with the head that every device starts from. */
export function centralEvaluation(options: CentralEvaluationOptions): Evaluate {
  const { baseFolder, test, kernels, baseDtype } = options;
  const { labels } = test;
  const shape = readModelShape(baseFolder, labels);
  const load = (structure?: Structure): Model => {
    const cut = structure === undefined ? {} : { structure };
    return loadModel(Engine.create({ kernels }), baseFolder, {
      ...{ task: "classify", labels, baseDtype },
      ...cut,
    });
  };
  const whole = load();
  const tokenizer = loadTokenizer(baseFolder);
  const maxTokens = Math.min(options.maxTokens, whole.architecture.maxPositions);
  const sequences = encodeDataset(test, tokenizer, maxTokens);
  const settings = { batchSize: BATCH_SIZE };
  const score = (model: Model, adapter: AdapterState | null): Score => {
    const adapted = adapter === null ? null : attachState(model, adapter);
    try {
      const { accuracy, loss, macroF1 } = evaluateClassifier(model, sequences, settings);
      return { accuracy, loss, macroF1 };
    } finally {
      adapted?.detach();
    }
  };
  return (adapter, structures) => {
    if (adapter === null || structures.size === 0) return Promise.resolve(score(whole, adapter));
    const known = new Map<string, Score>();
    const scores = [...structures].map(([device, structure]) => {
      const key = encodeStructure(structure, shape.units);
      const found = known.get(key);
      const sliced = (): AdapterState => narrow(adapter, { pruned: { shape, structure } });
      const fresh = found ?? score(load(structure), sliced());
      known.set(key, fresh);
      return { device, ...fresh };
    });
    return Promise.resolve(meanAndWorst(scores));
  };
}
