/** One scored optimiser step of a tiny model with adapters, and what a plain oracle needs to know of it. */
import { Tape } from "../../src/autograd/tape.ts";
import type { BaseDtype } from "../../src/base/base-dtype.ts";
import { Rng } from "../../src/base/rng.ts";
import type { Structure } from "../../src/base/structure.ts";
import { packBatch, type Sequence } from "../../src/data/batch.ts";
import { Lora, LoraPair } from "../../src/lora/lora.ts";
import { loadModel } from "../../src/models/load.ts";
import type { LossTargets, Model } from "../../src/models/model.ts";
import type { TokenBatch } from "../../src/models/transformer.ts";
import type { Scorer } from "../../src/pruning/scores/scorer.ts";
import type { UnitScores } from "../../src/pruning/unit-scores.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "./tiny-model.ts";

export interface ScoredModel {
  readonly model: Model;
  readonly sequences: Sequence[];
}

/** A tiny model with adapters whose two factors are both far from zero. */
export function adaptedTinyModel(
  name: TinyName,
  options: {
    structure?: Structure;
    targets?: string | readonly string[];
    baseDtype?: BaseDtype;
  } = {},
): ScoredModel {
  const engine = Engine.create();
  const { structure, targets = "all-linear", baseDtype = "f32" } = options;
  const cut = structure === undefined ? {} : { structure };
  const model = loadModel(engine, tinyFolder(name), { ...cut, baseDtype });
  const rng = Rng.fromSeed("adapters");
  const lora = Lora.attach(
    engine,
    model.linears(),
    { rank: 2, alpha: 3, targets, dropout: 0 },
    rng,
  );
  for (const { tensor } of lora.parameters()) {
    const view = tensor.f32;
    for (let i = 0; i < view.length; i++) view[i] = 0.2 * rng.normal();
  }
  return { model, sequences: tinySequences(tinyReference(name)) };
}

export function targetsOf(model: Model, batch: ReturnType<typeof packBatch>): LossTargets {
  return model.task === "classify"
    ? { kind: "classes", labels: batch.labels }
    : { kind: "next-token" };
}

/** The scores of one step on the sequences in one batch. */
export function scoreStep({ model, sequences }: ScoredModel, scorer: Scorer): UnitScores {
  const batch = packBatch(sequences);
  model.body.observer = scorer.observer;
  try {
    return model.engine.step(() => {
      const tape = new Tape(model.engine);
      tape.backward(model.loss(tape, batch, targetsOf(model, batch)));
      scorer.afterBackward(tape);
      return scorer.take((tensor) => tape.gradient(tensor));
    });
  } finally {
    model.body.observer = null;
  }
}

/** A linear layer in plain arrays: weight [out, in], factors and the gradients of all three. */
export interface PlainLinear {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  readonly weight: Float32Array;
  readonly weightGradient: Float32Array;
  readonly rank: number;
  readonly scale: number;
  readonly a: Float32Array;
  readonly aGradient: Float32Array;
  readonly b: Float32Array;
  readonly bGradient: Float32Array;
}

/** All linear layers with the gradients of the mean loss of the batch; also of the base weights. */
export function plainLinears(
  model: Model,
  batch: TokenBatch & { labels: Int32Array },
): PlainLinear[] {
  const linears = model.linears();
  for (const { weight } of linears) weight.tensor.requiresGrad = true;
  try {
    return model.engine.step(() => {
      const tape = new Tape(model.engine);
      tape.backward(model.loss(tape, batch, targetsOf(model, batch)));
      return linears.map(({ name, weight, adapter }) => {
        const { a, b, scale } = adapter as LoraPair;
        const gradient = (of: typeof a): Float32Array =>
          tape.gradient(of)?.toHost() ?? new Float32Array(of.size);
        return {
          ...{ name, outputs: weight.tensor.rows, inputs: weight.tensor.cols },
          ...{ weight: weight.tensor.toHost(), weightGradient: gradient(weight.tensor) },
          ...{ rank: a.rows, scale, a: a.toHost(), b: b.toHost() },
          ...{ aGradient: gradient(a), bGradient: gradient(b) },
        };
      });
    });
  } finally {
    for (const { weight } of linears) weight.tensor.requiresGrad = false;
  }
}
