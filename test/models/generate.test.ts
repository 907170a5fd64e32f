/** Generation: the key-value cache against whole forward passes, sampling, and where it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShapeError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { generate, type GenerateOptions } from "../../src/models/generate.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { argmax } from "../../src/train/evaluate.ts";
import { lastLogits } from "../support/logits.ts";
import { tinyFolder } from "../support/tiny-model.ts";

const GREEDY: GenerateOptions = { maxTokens: 12, temperature: 0, stopIds: [] };

function open(name: "llama-tied" | "llama-untied" = "llama-tied"): Model {
  return loadModel(Engine.create(), tinyFolder(name));
}

for (const name of ["llama-tied", "llama-untied"] as const) {
  test(`${name}: the cache chooses the tokens that whole passes choose`, () => {
    const model = open(name);
    const prompt = [2, 7, 11];
    const ids = [...generate(model, prompt, GREEDY)];
    assert.equal(ids.length, GREEDY.maxTokens);
    ids.forEach((id, i) => {
      const [logits] = lastLogits(model, [{ ids: [...prompt, ...ids.slice(0, i)] }]);
      assert.equal(id, argmax(logits ?? []), `token ${i}`);
    });
  });
}

test("generation ends at a stop token, at the limit, and where the positions end", () => {
  const model = open();
  const all = [...generate(model, [2], { ...GREEDY, maxTokens: 100 })];
  // 24 positions: the prompt's token and 23 more are read; the 24th that is chosen has no place.
  assert.equal(all.length, 24);
  const stop = all[5] as number;
  const stopped = [...generate(model, [2], { ...GREEDY, stopIds: [stop] })];
  assert.deepEqual(stopped, all.slice(0, all.indexOf(stop)));
  assert.equal([...generate(model, [2], { ...GREEDY, maxTokens: 3 })].length, 3);
});

test("a prompt that is empty or longer than the positions is refused", () => {
  const model = open();
  assert.throws(() => [...generate(model, [], GREEDY)], ShapeError);
  const long = new Array<number>(25).fill(5);
  assert.throws(
    () => [...generate(model, long, GREEDY)],
    (error) =>
      error instanceof ShapeError && /expected at most 24 tokens, got 25/.test(error.message),
  );
});

test("sampling follows its seed and, over many draws, the softmax of the logits", () => {
  const model = open();
  const sample = (seed: number, temperature: number): number[] => [
    ...generate(model, [2, 9], {
      ...GREEDY,
      temperature,
      rng: Rng.fromSeed(seed),
    }),
  ];
  assert.deepEqual(sample(1, 1.5), sample(1, 1.5));
  assert.notDeepEqual(sample(1, 1.5), sample(2, 1.5));
  assert.deepEqual(sample(3, 1e-4), [...generate(model, [2, 9], GREEDY)]);

  const [logits] = lastLogits(model, [{ ids: [2, 9] }]);
  const weights = Array.from(logits ?? [], (value) => Math.exp(value / 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const counts = new Array<number>(weights.length).fill(0);
  const draws = 1500;
  const rng = Rng.fromSeed(8);
  for (let i = 0; i < draws; i++) {
    const [id] = generate(model, [2, 9], { maxTokens: 1, temperature: 2, rng, stopIds: [] });
    counts[id as number] = (counts[id as number] ?? 0) + 1;
  }
  counts.forEach((count, id) => {
    const share = (weights[id] as number) / total;
    const deviation = Math.sqrt((share * (1 - share)) / draws);
    assert.ok(Math.abs(count / draws - share) < 4.5 * deviation + 1e-3, `token ${id}`);
  });
});

test("abandoned generation gives its cache back", () => {
  const model = open();
  const { state } = model.engine.stats;
  for (const id of generate(model, [2], GREEDY)) {
    assert.ok(model.engine.stats.state > state);
    assert.ok(id >= 0);
    break;
  }
  assert.equal(model.engine.stats.state, state);
});
