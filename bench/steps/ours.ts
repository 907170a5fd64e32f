/** Our engine's side of a comparison: a classifier of a given shape with random weights, its LoRA step and its forward pass. */
import { loadKernels, type KernelVariant } from "../../src/backend/wasm.ts";
import type { BaseDtype } from "../../src/base/base-dtype.ts";
import { KernelError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { uniformStructure } from "../../src/cost/approximate.ts";
import { Tape } from "../../src/autograd/tape.ts";
import { bert } from "../../src/models/bert.ts";
import { describeModel } from "../../src/models/description.ts";
import { Model } from "../../src/models/model.ts";
import { modelShape } from "../../src/models/shape.ts";
import { keptOfParameters } from "../../src/models/units.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { Trainer } from "../../src/train/trainer.ts";
import type { StepShape } from "./shapes.ts";

export interface OursOptions {
  readonly kernels: KernelVariant;
  /** One when absent. */
  readonly threads?: number;
  /** What the frozen base is held in; f32 when absent. */
  readonly baseDtype?: BaseDtype;
}

/** Our ways to compute, as the comparisons name them: `int8` is the fast module with an int8 base. */
export const ourWays: readonly (OursOptions & { readonly name: string })[] = [
  { name: "strict", kernels: "simd" },
  { name: "relaxed", kernels: "relaxed" },
  { name: "int8", kernels: "relaxed", baseDtype: "int8" },
];

/** What an engine is asked to work on: token ids [batch·tokens] and one of two labels per sequence. */
export interface StepData {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

export interface OurModel {
  readonly engine: Engine;
  /** One forward, backward and AdamW update; returns the loss. */
  step(): number;
  /** One forward pass over the batch; returns the logits. */
  forward(): Float32Array;
  /** Every weight by Hugging Face name, as they are now. */
  weights(): Map<string, { shape: readonly number[]; data: Float32Array }>;
}

/** Seeded ids and labels, the same for every engine. */
export function stepData({ batch, tokens, vocab }: StepShape): StepData {
  const rng = Rng.fromSeed(2);
  const ids = Int32Array.from({ length: batch * tokens }, () => rng.int(vocab));
  return { ids, labels: Int32Array.from({ length: batch }, () => rng.int(2)) };
}

/** Whether the machine has what the variant needs. */
export function canRun(variant: KernelVariant): boolean {
  try {
    loadKernels({ variant });
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/** BERT without token types whose classifier reads the mean, LoRA on query and value, and a trained classifier. */
export function ourModel(shape: StepShape, options: OursOptions): OurModel {
  const engine = Engine.create(options);
  const config = {
    vocab_size: shape.vocab,
    hidden_size: shape.width,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: shape.inner,
    max_position_embeddings: Math.max(128, shape.tokens),
    type_vocab_size: 0,
    classifier_pooling: "mean",
  };
  const description = describeModel({ family: bert, task: "classify", config, labels: ["a", "b"] });
  const structure = uniformStructure(modelShape(description), shape.sparsity ?? 0);
  const kept = keptOfParameters(modelShape(description), structure);
  const store = new ParameterStore(engine, {
    rng: Rng.fromSeed(1),
    keptOf: (name) => kept.get(name),
    dtype: options.baseDtype ?? "f32",
  });
  const model = new Model(store, description, structure);
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: shape.rank, alpha: 2 * shape.rank, targets: ["query", "value"], dropout: 0 },
    trainHead: true,
    seed: 1,
  });
  const trainer = new Trainer(engine, adapted.parameters(), {
    schedule: { kind: "constant", peakRate: 1e-3, warmupSteps: 0, totalSteps: 1 },
    clipNorm: null,
    seed: 1,
  });
  const { batch: B, tokens: T } = shape;
  const { ids, labels } = stepData(shape);
  const batch = { ids, offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * T) };
  return {
    engine,
    step: () => trainer.step([(tape) => model.loss(tape, batch, { kind: "classes", labels })]).loss,
    forward: () =>
      engine.step(() => model.classLogits(new Tape(engine, { recording: false }), batch).toHost()),
    weights: () =>
      new Map(
        [...store.all(), ...adapted.parameters()].map(({ name, tensor }) => [
          name,
          { shape: tensor.shape, data: tensor.toHost() },
        ]),
      ),
  };
}
