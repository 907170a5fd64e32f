/** Slicing against masking: the same logits, gradients and training, with less memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NamedArrays } from "../../src/base/arrays.ts";
import { ConfigError, ShapeError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import type { Structure } from "../../src/base/structure.ts";
import { packBatch } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import { cut, cutAdapter, keptOfParameters } from "../../src/models/units.ts";
import { sliceModel } from "../../src/pruning/slice.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { Sgd } from "../../src/train/sgd.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { assertAllClose, largest } from "../support/all-close.ts";
import { trainedGradients } from "../support/gradients.ts";
import { lastLogits } from "../support/logits.ts";
import { maskUnits } from "../support/mask.ts";
import { must } from "../support/must.ts";
import { anyStructure, subsetOf, unevenStructure } from "../support/structures.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "../support/tiny-model.ts";

const TOLERANCE = 2e-5;
const names = ["bert-classify", "llama-tied", "llama-untied"] as const;

interface Bench {
  readonly adapted: AdaptedModel;
  readonly trainer: Trainer;
  /** One update on the model's own rows; returns the loss before it. */
  readonly step: () => number;
}

function bench(name: TinyName, optimizer: "adamw" | "sgd" = "adamw"): Bench {
  const model = loadModel(Engine.create(), tinyFolder(name));
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 2, alpha: 4, targets: "all-linear", dropout: 0 },
    trainHead: true,
    seed: 5,
  });
  // B starts at zero, which would hide what A contributes.
  const rng = Rng.fromSeed(7);
  for (const { tensor } of adapted.lora.parameters()) {
    tensor.f32.forEach((value, i, view) => (view[i] = value + 0.2 * rng.normal()));
  }
  const trainer = new Trainer(
    model.engine,
    adapted.parameters(),
    {
      schedule: { kind: "constant", peakRate: 0.02, warmupSteps: 0, totalSteps: 100 },
      clipNorm: 0.5,
      seed: 1,
    },
    optimizer === "sgd"
      ? (trained) => new Sgd(model.engine, trained, { momentum: 0.9, weightDecay: 0.01 })
      : undefined,
  );
  const batch = packBatch(tinySequences(tinyReference(name)));
  const targets =
    model.task === "classify"
      ? ({ kind: "classes", labels: batch.labels } as const)
      : ({ kind: "next-token" } as const);
  const step = (): number => trainer.step([(tape) => model.loss(tape, batch, targets)]).loss;
  return { adapted, trainer, step };
}

function assertSameLogits({ model: a }: AdaptedModel, { model: b }: AdaptedModel, name: TinyName) {
  const sequences = tinySequences(tinyReference(name));
  const expected = lastLogits(b, sequences);
  lastLogits(a, sequences).forEach((logits, i) =>
    assertAllClose(logits, must(expected[i]), TOLERANCE, `logits of row ${i}`),
  );
}

for (const name of names) {
  const { units } = loadModel(Engine.create(), tinyFolder(name)).shape;

  test(`${name}: a sliced model has the logits and gradients of the masked one`, () => {
    fc.assert(
      fc.property(anyStructure(units), (structure) => {
        const [sliced, masked] = [bench(name), bench(name)];
        const sequences = tinySequences(tinyReference(name));
        sliceModel(sliced.adapted.model, structure, { trainer: sliced.trainer });
        maskUnits(masked.adapted.model, structure);
        assertSameLogits(sliced.adapted, masked.adapted, name);
        const whole = everyGradient(masked.adapted, sequences);
        const { shape } = masked.adapted.model;
        const kept = keptOfParameters(shape, structure);
        const expected = cutAdapter(whole, shape, structure, "a test");
        const floor = largest([...whole.values()].map(({ data }) => largest(data))) / 100;
        for (const [parameter, { data }] of everyGradient(sliced.adapted, sequences)) {
          const want = cut(must(expected.get(parameter)), kept.get(parameter)).data;
          const scale = Math.max(largest(want), floor);
          assertAllClose(data, want, 1e-4, `gradient of ${parameter}`, scale);
        }
      }),
      { numRuns: 20 },
    );
  });

  test(`${name}: slicing twice is slicing once, to the bit`, () => {
    const twoSteps = anyStructure(units).chain((first) =>
      fc.tuple(fc.constant(first), subsetOf(first)),
    );
    fc.assert(
      fc.property(twoSteps, ([first, second]) => {
        const [twice, once] = [bench(name), bench(name)];
        for (const { step } of [twice, once]) step();
        sliceModel(twice.adapted.model, first, { trainer: twice.trainer });
        sliceModel(twice.adapted.model, second, { trainer: twice.trainer });
        sliceModel(once.adapted.model, second, { trainer: once.trainer });
        assert.deepEqual(twice.adapted.export(), once.adapted.export());
        assert.deepEqual(twice.trainer.export(), once.trainer.export());
        assert.equal(twice.step(), once.step());
      }),
      { numRuns: 10 },
    );
  });

  for (const optimizer of ["adamw", "sgd"] as const) {
    test(`${name}: sliced in the middle of training it goes on as the masked model does (${optimizer})`, () => {
      fc.assert(
        fc.property(anyStructure(units), (structure) => {
          const [sliced, masked] = [bench(name, optimizer), bench(name, optimizer)];
          for (let step = 0; step < 3; step++) assert.equal(sliced.step(), masked.step());
          sliceModel(sliced.adapted.model, structure, { trainer: sliced.trainer });
          maskUnits(masked.adapted.model, structure);
          for (let step = 0; step < 4; step++) {
            const want = masked.step();
            assertAllClose([sliced.step()], [want], 1e-4, `step ${step}`, Math.max(1, want));
          }
        }),
        { numRuns: 6 },
      );
    });
  }

  test(`${name}: slicing after loading and loading into the structure give the same bits and bytes`, () => {
    const structure = unevenStructure(units);
    const sliced = loadModel(Engine.create(), tinyFolder(name));
    const before = sliced.engine.stats;
    sliceModel(sliced, structure);
    const loaded = loadModel(Engine.create(), tinyFolder(name), { structure });
    assert.deepEqual(valuesOf(sliced), valuesOf(loaded));
    assert.deepEqual(sliced.structure, loaded.structure);
    assert.equal(sliced.engine.stats.weights, loaded.engine.stats.weights);
    assert.ok(sliced.engine.stats.weights < before.weights);
  });
}

test("factors, gradients and moments shrink, and what is freed serves the next allocations", () => {
  const { adapted, trainer, step } = bench("bert-classify");
  step();
  const before = adapted.model.engine.stats;
  sliceModel(adapted.model, unevenStructure(adapted.model.shape.units), { trainer });
  const trained = adapted.lora.parameters().reduce((sum, { tensor }) => sum + tensor.size, 0);
  const head = adapted.model.headParameters().reduce((sum, { tensor }) => sum + tensor.size, 0);
  const { state, memoryBytes } = adapted.model.engine.stats;
  const blocks = 4 * adapted.parameters().length;
  const expected = 4 * (4 * trained + 3 * head);
  assert.ok(state >= expected && state < expected + 64 * blocks, `${state}, not ${expected}`);
  assert.ok(state < before.state);
  const freed = before.state + before.weights - state - adapted.model.engine.stats.weights;
  for (let used = 0; used < freed / 2; used += 64) adapted.model.engine.empty([16], "state");
  assert.equal(adapted.model.engine.stats.memoryBytes, memoryBytes);
});

test("training whose gradients and moments were not sliced along is stopped", () => {
  const { adapted, step } = bench("bert-classify");
  sliceModel(adapted.model, unevenStructure(adapted.model.shape.units));
  assert.throws(
    step,
    (error) =>
      error instanceof ShapeError &&
      /query\.lora_B\.weight was sliced without its gradient and moments/.test(error.message),
  );
});

test("the largest memory of a step falls with the structure", () => {
  const { adapted, trainer } = bench("llama-tied");
  const batch = packBatch(tinySequences(tinyReference("llama-tied")));
  const peak = (): number =>
    trainer.step([(tape) => adapted.model.loss(tape, batch, { kind: "next-token" })]).stepPeakBytes;
  const whole = peak();
  sliceModel(adapted.model, unevenStructure(adapted.model.shape.units), { trainer });
  assert.ok(peak() < 0.9 * whole);
});

test("a structure with units that are gone, or of another model, is refused and changes nothing", () => {
  const { adapted, trainer } = bench("bert-classify");
  const { model } = adapted;
  const structure = unevenStructure(model.shape.units);
  sliceModel(model, structure, { trainer });
  const before = { values: valuesOf(model), factors: adapted.export(), stats: model.engine.stats };
  const [, second = { heads: [], ffn: [] }] = structure.layers;
  const refused = (layers: Structure["layers"], message: RegExp): void => {
    assert.throws(
      () => sliceModel(model, { layers }, { trainer }),
      (error) => error instanceof ConfigError && message.test(error.message),
    );
    assert.deepEqual(valuesOf(model), before.values);
    assert.deepEqual(adapted.export(), before.factors);
    assert.equal(model.structure, structure);
  };
  refused([{ heads: [0], ffn: [5] }, second], /layer 0, heads: .*got 0, which are gone/);
  refused(
    [
      { heads: [3], ffn: [5] },
      { heads: [0], ffn: [1, 2, 3] },
    ],
    /layer 1, ffn: .*got 1, 3,/,
  );
  refused([second], /structure: layers: expected 2, got 1/);
  refused([{ heads: [], ffn: [5] }, second], /layer 0, heads: .*at least one, got none/);
});

function valuesOf(model: ReturnType<typeof loadModel>): Map<string, unknown> {
  return new Map(
    model.store.all().map(({ name, tensor }) => [name, [tensor.shape, tensor.toHost()]]),
  );
}

/** Of factors, head and base. */
function everyGradient(
  { model, lora }: AdaptedModel,
  sequences: Parameters<typeof trainedGradients>[2],
): NamedArrays {
  const parameters = [...lora.parameters(), ...model.store.all()];
  const gradients = trainedGradients(model, parameters, sequences);
  return new Map(
    parameters.map(({ name, tensor }) => [
      name,
      { shape: tensor.shape, data: gradients.get(name) ?? new Float32Array(tensor.size) },
    ]),
  );
}
