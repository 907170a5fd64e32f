/** The fine-tuning loop: exact continuation, seeds, and how many steps a number of epochs is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sequence } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FineTuner, stepsForEpochs, type FineTuneOptions } from "../../src/train/fine-tune.ts";
import { tinyFolder } from "../support/tiny-model.ts";

const STEPS = 9;
const OPTIONS: FineTuneOptions = {
  steps: STEPS,
  batchSize: 2,
  accumulation: 2,
  peakRate: 0.01,
  schedule: "cosine",
  warmupSteps: 2,
  clipNorm: 0.5,
  weightDecay: 0.01,
  seed: 3,
  shuffle: true,
};

const sequences: readonly Sequence[] = Array.from({ length: 7 }, (_, i) => ({
  ids: [2, ...Array.from({ length: 1 + (i % 4) }, (_unused, k) => 5 + ((7 * i + 3 * k) % 30)), 3],
  label: i % 3,
}));

function tuner(
  name: "bert-classify" | "llama-tied",
  options: Partial<FineTuneOptions> = {},
): { adapted: AdaptedModel; tuner: FineTuner } {
  const model = loadModel(Engine.create(), tinyFolder(name));
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 2, alpha: 4, targets: model.family.defaultTargets, dropout: 0.2 },
    trainHead: true,
    seed: 3,
  });
  const all = { ...OPTIONS, ...options };
  return { adapted, tuner: new FineTuner(model, adapted.parameters(), sequences, all) };
}

function run(trained: FineTuner, steps: number): number[] {
  return Array.from({ length: steps }, () => trained.step().loss);
}

for (const name of ["bert-classify", "llama-tied"] as const) {
  test(`${name}: a run continued in another engine repeats the uninterrupted one to the bit`, () => {
    const whole = tuner(name);
    const losses = run(whole.tuner, STEPS);
    assert.ok(whole.tuner.isDone);
    for (const cut of [1, 4, 8]) {
      const before = tuner(name);
      assert.deepEqual(run(before.tuner, cut), losses.slice(0, cut));
      const state = before.tuner.export();
      const values = before.adapted.export();
      const after = tuner(name);
      after.adapted.load(values, "a test");
      after.tuner.restore(state);
      assert.equal(after.tuner.stepCount, cut);
      assert.deepEqual(run(after.tuner, STEPS - cut), losses.slice(cut));
      assert.deepEqual(after.adapted.export(), whole.adapted.export());
    }
  });
}

test("an exported state is a copy that later steps do not touch", () => {
  const { tuner: trained, adapted } = tuner("bert-classify");
  run(trained, 2);
  const [state, values] = [trained.export(), adapted.export()];
  const kept = structuredClone({ state, values });
  run(trained, 2);
  assert.deepEqual({ state, values }, kept);
});

test("the seed decides the order; another order seed changes it, file order needs none", () => {
  const losses = (options: Partial<FineTuneOptions>): number[] =>
    run(tuner("bert-classify", options).tuner, 3);
  assert.deepEqual(losses({}), losses({}));
  assert.notDeepEqual(losses({ seed: 4 }), losses({}));
  assert.notDeepEqual(losses({ shuffleSeed: "device-2" }), losses({}));
  const inOrder = { shuffle: false };
  assert.deepEqual(losses({ ...inOrder, shuffleSeed: "device-2" }), losses(inOrder));
});

test("epochs are whole passes, rounded up to updates", () => {
  const settings = { batchSize: 4, accumulation: 1 };
  assert.equal(stepsForEpochs(10, 1, settings), 3);
  assert.equal(stepsForEpochs(10, 2, settings), 6);
  assert.equal(stepsForEpochs(10, 2, { batchSize: 4, accumulation: 4 }), 2);
  assert.equal(stepsForEpochs(1, 0.01, settings), 1);
});
