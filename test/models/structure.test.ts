/** Loading a model into a pruned shape: published references, sizes, generation and refusals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import { fullStructure, isSameStructure } from "../../src/base/structure.ts";
import { argmax } from "../../src/train/evaluate.ts";
import { generate } from "../../src/models/generate.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose, largest } from "../support/all-close.ts";
import { goldenTrajectories } from "../support/golden-trajectory.ts";
import { lastLogits } from "../support/logits.ts";
import { must } from "../support/must.ts";
import { unevenStructure } from "../support/structures.ts";
import { tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";

for (const { family, folder, skip, read } of goldenTrajectories) {
  test(`${family}: loaded into a pruned shape it gives the reference's logits`, { skip }, () => {
    const { structure, sequences, pruned } = read();
    const model = loadModel(Engine.create(), folder, { structure });
    sequences.forEach((sequence, i) => {
      const logits = must(lastLogits(model, [sequence])[0]);
      const want = must(pruned.last8_logits_without_lora[i]);
      assertAllClose(logits.slice(-8), want, 1e-4, `logits ${i}`, largest(logits));
    });
  });
}

test("every layer has the heads and channels that its own structure leaves", () => {
  const whole = loadModel(Engine.create(), tinyFolder("llama-tied"));
  assert.ok(isSameStructure(whole.structure, fullStructure(whole.shape.units)));
  const structure = unevenStructure(whole.shape.units);
  const model = loadModel(Engine.create(), tinyFolder("llama-tied"), { structure });
  assert.equal(model.structure, structure);
  assert.deepEqual(model.shape, whole.shape);
  assert.deepEqual(
    model.body.blocks.map(({ numHeads, numKvHeads, innerWidth }) => [
      numHeads,
      numKvHeads,
      innerWidth,
    ]),
    [
      [2, 1, 1],
      [4, 2, 12],
    ],
  );
  const size = (layer: { weight: { tensor: { shape: readonly number[] } } }) =>
    layer.weight.tensor.shape;
  assert.deepEqual(
    must(model.body.blocks[0]).linears().map(size),
    [
      [8, 16],
      [4, 16],
      [4, 16],
      [16, 8],
      [1, 16],
      [1, 16],
      [16, 1],
    ],
  );
  const saved = 4 * (parameterCount(whole) - parameterCount(model));
  const slack = 64 * model.store.all().length;
  assert.ok(Math.abs(whole.engine.stats.weights - model.engine.stats.weights - saved) < slack);
});

test("random weights of a pruned model are those of the whole one", () => {
  const random = { randomWeightsSeed: 3 };
  const whole = loadModel(Engine.create(), tinyFolder("bert-classify"), random);
  const structure = unevenStructure(whole.shape.units);
  const folder = tinyFolder("bert-classify");
  const model = loadModel(Engine.create(), folder, { ...random, structure });
  const down = must(whole.body.blocks[0]).down.weight.tensor;
  const column = down.f32.filter((_, i) => i % down.cols === 5);
  assert.deepEqual(must(model.body.blocks[0]).down.weight.tensor.toHost(), column);
});

test("generation with its cache follows the pruned model's own predictions", () => {
  const { units } = loadModel(Engine.create(), tinyFolder("llama-tied")).shape;
  const structure = unevenStructure(units);
  const model = loadModel(Engine.create(), tinyFolder("llama-tied"), { structure });
  const ids = [2, 9, 14];
  const options = { maxTokens: 6, temperature: 0, stopIds: [] };
  for (const id of generate(model, [...ids], options)) {
    assert.equal(id, argmax(must(lastLogits(model, [{ ids }])[0])));
    ids.push(id);
  }
  assert.equal(ids.length, 9);
  assert.equal(model.engine.stats.state, 0);
});

test("a structure of another model is refused before any weight is read", () => {
  const folder = tinyFolder("bert-classify");
  const layer = { heads: [0], ffn: [0] };
  for (const [layers, message] of [
    [[layer], /structure: layers: expected 2, got 1/],
    [[layer, { heads: [4], ffn: [0] }], /layer 1, heads: expected ascending indices below 4/],
    [[{ heads: [], ffn: [0] }, layer], /layer 0, heads: .*got none/],
  ] as const) {
    assert.throws(
      () => loadModel(Engine.create(), folder, { structure: { layers } }),
      (error) => error instanceof ConfigError && message.test(error.message),
    );
  }
});

test("a pruned classifier gives each row's logits alone and together alike", () => {
  const folder = tinyFolder("llama-classify");
  const sequences = tinySequences(tinyReference("llama-classify"));
  const { units } = loadModel(Engine.create(), folder).shape;
  const model = loadModel(Engine.create(), folder, { structure: unevenStructure(units) });
  const together = lastLogits(model, sequences);
  sequences.forEach((sequence, i) => {
    assertAllClose(must(together[i]), must(lastLogits(model, [sequence])[0]), 1e-6, `row ${i}`);
  });
});

function parameterCount(model: ReturnType<typeof loadModel>): number {
  return model.store.all().reduce((sum, { tensor }) => sum + tensor.size, 0);
}
