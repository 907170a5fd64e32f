/** Small random models of both families and one training step of each, to compare counts with. */
import { Rng } from "../../src/base/rng.ts";
import { fullStructure, type Structure, type UnitCounts } from "../../src/base/structure.ts";
import type { StepSetup } from "../../src/cost/step.ts";
import { bert } from "../../src/models/bert.ts";
import { describeModel } from "../../src/models/description.ts";
import { llama } from "../../src/models/llama.ts";
import { Model } from "../../src/models/model.ts";
import { modelShape } from "../../src/models/shape.ts";
import { keptOfParameters } from "../../src/models/units.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import type { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";
import { unevenStructure } from "./structures.ts";

const bertConfig = {
  ...{ vocab_size: 300, hidden_size: 48, num_hidden_layers: 3, num_attention_heads: 4 },
  ...{ intermediate_size: 160, max_position_embeddings: 64, type_vocab_size: 2 },
};
const llamaConfig = {
  ...{ vocab_size: 300, hidden_size: 48, num_hidden_layers: 3, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, intermediate_size: 128, max_position_embeddings: 64 },
};

interface CountedModel {
  readonly family: typeof bert;
  readonly config: Readonly<Record<string, unknown>>;
  readonly task: "classify" | "causal-lm";
}

/** Every kind of head and both families. */
export const countedModels: Readonly<Record<string, CountedModel>> = {
  "encoder with mean pooling": {
    family: bert,
    config: { ...bertConfig, classifier_pooling: "mean" },
    task: "classify",
  },
  "encoder with a pooler": { family: bert, config: bertConfig, task: "classify" },
  "decoder that classifies": { family: llama, config: llamaConfig, task: "classify" },
  "decoder that predicts tokens": { family: llama, config: llamaConfig, task: "causal-lm" },
  "decoder of many words": {
    family: llama,
    config: { ...llamaConfig, vocab_size: 20011, tie_word_embeddings: true },
    task: "causal-lm",
  },
  "larger encoder": {
    family: bert,
    config: { ...bertConfig, hidden_size: 192, num_attention_heads: 6, intermediate_size: 768 },
    task: "classify",
  },
};

/** The whole model, and one with very unequal layers. */
export const countedStructures: readonly ((counts: UnitCounts) => Structure)[] = [
  fullStructure,
  unevenStructure,
];

/** A model of random weights, cut to the structure. */
export function countedModel(
  engine: Engine,
  { family, config, task }: CountedModel,
  structureOf: (counts: UnitCounts) => Structure,
): Model {
  const labels = task === "classify" ? ["a", "b", "c"] : [];
  const description = describeModel({ family, task, config, labels });
  const shape = modelShape(description);
  const structure = structureOf(shape.units);
  const kept = keptOfParameters(shape, structure);
  const store = new ParameterStore(engine, {
    rng: Rng.fromSeed(1),
    keptOf: (name) => kept.get(name),
  });
  return new Model(store, description, structure);
}

type Part = Pick<StepSetup, "targets" | "rank" | "batchSize" | "numTokens"> & Partial<StepSetup>;

/** Steps of different targets, sizes and options. */
export function countedSetups({ structure }: Model): StepSetup[] {
  const parts: Part[] = [
    { targets: "all-linear", rank: 8, batchSize: 4, numTokens: 32 },
    { targets: ["query", "value", "q_proj", "v_proj"], rank: 2, batchSize: 8, numTokens: 17 },
    { targets: ["1.output.dense", "1.mlp.down_proj"], rank: 4, batchSize: 2, numTokens: 64 },
    { targets: "all-linear", rank: 3, batchSize: 1, numTokens: 9, dropout: 0.1 },
    { targets: "all-linear", rank: 16, batchSize: 3, numTokens: 24, trainHead: false },
    { targets: ["query", "q_proj"], rank: 1, batchSize: 2, numTokens: 20, scoresUnits: true },
    { targets: "all-linear", rank: 8, batchSize: 4, numTokens: 32, recompute: true },
    {
      targets: ["1.output.dense", "1.mlp.down_proj"],
      rank: 4,
      batchSize: 2,
      numTokens: 64,
      recompute: true,
    },
    {
      targets: ["query", "q_proj"],
      rank: 2,
      batchSize: 2,
      numTokens: 20,
      dropout: 0.1,
      scoresUnits: true,
      recompute: true,
    },
  ];
  const usual = {
    ...{ structure, trainHead: true },
    ...{ dropout: 0, scoresUnits: false },
  };
  return parts.map((part) => ({ ...usual, ...part }));
}

/** Trains one step and reports the bytes that the engine's regions held. */
export function trainOnce(model: Model, setup: StepSetup) {
  const { targets, rank, batchSize, numTokens, trainHead, dropout, scoresUnits, recompute } = setup;
  const { engine } = model;
  const adapted = AdaptedModel.attach(model, {
    lora: { rank, alpha: rank, targets, dropout },
    trainHead,
    seed: 1,
  });
  const sequence = { ids: Array.from({ length: numTokens }, (_, i) => i), label: 0 };
  const sequences = Array.from({ length: batchSize }, () => sequence);
  const tuner = new FineTuner(model, adapted.parameters(), sequences, {
    ...FINE_TUNE_DEFAULTS,
    steps: 1,
    batchSize,
    recompute: recompute === true,
  });
  model.body.observer = scoresUnits ? { unitActivations: () => undefined } : null;
  tuner.step();
  model.body.observer = null;
  const { weights, state, stepPeak: step } = engine.stats;
  tuner.dispose();
  adapted.detach();
  return { weights, state, step, peak: weights + state + step };
}
