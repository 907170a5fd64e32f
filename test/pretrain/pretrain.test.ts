/** Pretraining as a whole: it learns a repetitive text, continues to the bit, and cleans up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { describeModel } from "../../src/models/description.ts";
import { Model } from "../../src/models/model.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import type { Corpus } from "../../src/pretrain/corpus.ts";
import { causalObjective, maskedObjective, type Objective } from "../../src/pretrain/objective.ts";
import { pretrainPreset } from "../../src/pretrain/presets.ts";
import { pretrain, type PretrainOptions, type PretrainState } from "../../src/pretrain/pretrain.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { wordPieceFiles } from "../../src/text/train-vocabulary.ts";
import { tinyWords } from "../support/tiny-model.ts";

type Kind = "masked" | "causal";

const OPTIONS: PretrainOptions = {
  steps: 4,
  batchSize: 4,
  windowTokens: 12,
  peakRate: 0.01,
  warmupSteps: 1,
  schedule: "linear",
  weightDecay: 0.01,
  clipNorm: 1,
  seed: 2,
  evaluateEvery: 2,
  checkpointEvery: 2,
  heldOutFraction: 0.1,
};

function tokenizerFor(kind: Kind): Tokenizer {
  const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...tinyWords];
  const purpose = kind === "masked" ? "encoder" : "causal";
  const files = wordPieceFiles(vocabulary, { lowerCase: true, purpose, maxTokens: 64 });
  return new Tokenizer(files.definition, files.config, "a test vocabulary");
}

/** Two documents that say the same few things over and over. */
function corpusOf(tokenizer: Tokenizer, repeats = 40): Corpus {
  const sentences = ["the pump is hot", "a fan was not cold", "the room and the tank is wet"];
  const text = Array.from({ length: repeats }, (_, i) => sentences[i % 3]).join(" ");
  const { ids } = tokenizer.encode(text, { specialTokens: false });
  const documents = ["a", "b"].map((name, i) => ({
    name,
    start: i * ids.length,
    length: ids.length,
  }));
  return { ids: Uint16Array.from([...ids, ...ids]), documents };
}

interface Bench {
  readonly model: Model;
  readonly corpus: Corpus;
  readonly objective: Objective;
}

function bench(kind: Kind, repeats?: number): Bench {
  const tokenizer = tokenizerFor(kind);
  const preset = pretrainPreset(kind);
  const config = preset.config({
    ...{ vocabSize: tokenizer.vocabSize, layers: 1, width: 16, heads: 2, inner: 24, tokenizer },
  });
  const store = new ParameterStore(Engine.create(), { rng: Rng.fromSeed(1) });
  return {
    model: new Model(store, describeModel({ family: preset.family, task: preset.task, config })),
    corpus: corpusOf(tokenizer, repeats),
    objective:
      kind === "causal"
        ? causalObjective(tokenizer)
        : maskedObjective(tokenizer, { probability: 0.25, wholeWords: false, seed: 3 }),
  };
}

interface Record {
  readonly losses: number[];
  readonly heldOut: number[];
  readonly checkpoints: { state: PretrainState; values: Map<string, Float32Array> }[];
}

const valuesOf = (model: Model): Map<string, Float32Array> =>
  new Map(model.store.all().map(({ name, tensor }) => [name, tensor.toHost()]));

function run(
  { model, corpus, objective }: Bench,
  options: Partial<PretrainOptions> = {},
  resume?: PretrainState,
): Record {
  const record: Record = { losses: [], heldOut: [], checkpoints: [] };
  const events = {
    onStep: ({ loss }: { loss: number }) => record.losses.push(loss),
    onEvaluation: ({ heldOutLoss }: { heldOutLoss: number }) => record.heldOut.push(heldOutLoss),
    onCheckpoint: (state: PretrainState) =>
      record.checkpoints.push({ state, values: valuesOf(model) }),
  };
  pretrain(model, corpus, objective, { ...OPTIONS, ...options }, events, resume);
  return record;
}

for (const kind of ["masked", "causal"] as const) {
  test(`a ${kind} run continued from its checkpoint repeats the uninterrupted one to the bit`, () => {
    const whole = bench(kind);
    const expected = run(whole);
    assert.equal(expected.losses.length, 4);
    assert.equal(expected.checkpoints.length, 2);

    const [checkpoint] = expected.checkpoints;
    assert.ok(checkpoint);
    assert.equal(checkpoint.state.trainer.step, 2);
    const other = bench(kind);
    for (const { name, tensor } of other.model.store.all()) {
      tensor.f32.set(checkpoint.values.get(name) ?? []);
    }
    const continued = run(other, {}, checkpoint.state);
    assert.deepEqual(continued.losses, expected.losses.slice(2));
    assert.deepEqual(continued.heldOut, expected.heldOut.slice(1));
    assert.deepEqual(valuesOf(other.model), valuesOf(whole.model));
  });

  test(`a ${kind} model learns a text that repeats itself`, () => {
    const made = bench(kind);
    const { losses, heldOut } = run(made, { steps: 80, evaluateEvery: 40, peakRate: 0.02 });
    const uniform = Math.log(made.model.architecture.vocabSize);
    assert.ok(Math.abs((losses[0] ?? 0) - uniform) < 0.7, `the first loss is ${losses[0]}`);
    const [middle = NaN, last = NaN] = heldOut;
    assert.equal(heldOut.length, 2);
    assert.ok(last < 0.75 * uniform, `the last held-out loss is ${last} of ${uniform}`);
    assert.ok(last < middle);
  });
}

test("the seed decides windows, and masks have a seed of their own", () => {
  const { losses } = run(bench("masked"));
  assert.deepEqual(run(bench("masked")).losses, losses);
  assert.notDeepEqual(run(bench("masked"), { seed: 9 }).losses, losses);
});

test("pretraining trains every parameter and gives gradients and moments back", () => {
  const made = bench("masked");
  const { engine, store } = made.model;
  const [before, { state, step }] = [valuesOf(made.model), engine.stats];
  run(made);
  for (const [name, values] of valuesOf(made.model)) {
    // Every key bias shifts all scores of a row alike: its gradient is zero.
    if (name.endsWith("key.bias")) continue;
    assert.notDeepEqual(values, before.get(name), name);
  }
  assert.deepEqual([engine.stats.state, engine.stats.step], [state, step]);
  assert.ok(store.all().every(({ tensor }) => !tensor.requiresGrad));
});

test("nothing held out means no evaluation, and too little is said to be too little", () => {
  const { losses, heldOut } = run(bench("masked"), { heldOutFraction: 0 });
  assert.deepEqual([losses.length, heldOut.length], [4, 0]);
  assert.throws(
    () => run(bench("masked"), { heldOutFraction: 0.01 }),
    (error) => error instanceof DataError && /the held-out part is too short/.test(error.message),
  );
});
