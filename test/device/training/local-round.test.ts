/** What a round measures while it trains: the importance of the update, and scores with the plan's decay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../../src/autograd/tape.ts";
import { packBatch } from "../../../src/data/batch.ts";
import { encodeDataset } from "../../../src/data/sequences.ts";
import { adapterArrays, encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { loadModel } from "../../../src/models/load.ts";
import { Engine } from "../../../src/tensor/engine.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { AdaptedModel } from "../../../src/train/adapted-model.ts";
import { must } from "../../support/must.ts";
import {
  examples,
  LABELS,
  PLAN,
  PRUNING,
  round,
  someModules,
  tinyBase,
  tinyDevice,
} from "../../support/tiny-device.ts";

test("importance is the sum over factors of the size of <factor, gradient>", async (t) => {
  const folder = tinyBase(t);
  const few = examples(4, "one batch");
  const modules = someModules(folder, () => PLAN.rank);
  const { heads } = await round(await tinyDevice(folder), {});
  const adapter = encodeAdapterFile({ modules, heads });
  // One step on the one batch that there is, with self-pruning, which must not count.
  const plan = { steps: 1, selfPruning: { weight: 100, share: 0.5 } };
  const { report } = await round(await tinyDevice(folder, { examples: few }), plan, adapter);

  const engine = Engine.create();
  const model = loadModel(engine, folder, { task: "classify", labels: LABELS });
  const { rank, alpha, targets, dropout } = PLAN;
  const adapted = AdaptedModel.attach(model, {
    ...{ lora: { rank, alpha, targets, dropout }, trainHead: true, seed: 1 },
  });
  adapted.load(adapterArrays({ modules, heads }), "a test");
  const sequences = encodeDataset({ examples: few, labels: LABELS }, loadTokenizer(folder), 12);
  const batch = packBatch(sequences);
  const expected = engine.step(() => {
    const tape = new Tape(engine);
    tape.backward(model.loss(tape, batch, { kind: "classes", labels: batch.labels }));
    return adapted.lora.parameters().reduce((sum, { tensor }) => {
      const gradient = must(tape.gradient(tensor)).f32;
      return sum + Math.abs(tensor.f32.reduce((dot, x, i) => dot + x * must(gradient[i]), 0));
    }, 0);
  });
  assert.ok(expected > 0.01);
  assert.ok(Math.abs(report.importance / expected - 1) < 1e-4, `${report.importance}, ${expected}`);
});

test("with a decay of 0 the last step alone decides, with another the earlier ones count as well", async (t) => {
  const folder = tinyBase(t);
  const scoresAfter = async (steps: number, decay: number): Promise<Float32Array> => {
    const pruning = { ...PRUNING, sparsity: 0, decay };
    const device = await tinyDevice(folder, { examples: examples(16) });
    const { scores } = await round(device, { steps, pruning, learningRate: 1e-9, batchSize: 16 });
    return must(scores.get("scores.ffn")).data;
  };
  const apart = (x: Float32Array, y: Float32Array): number =>
    Math.max(...x.map((value, i) => Math.abs(value - must(y[i]))));
  // All examples in every batch and hardly any change from step to step: each step scores alike.
  assert.ok(apart(await scoresAfter(1, 0), await scoresAfter(3, 0.9)) < 1e-3);
  const moving = async (decay: number): Promise<Float32Array> => {
    const pruning = { ...PRUNING, sparsity: 0, decay };
    return must((await round(await tinyDevice(folder), { pruning })).scores.get("scores.ffn")).data;
  };
  assert.ok(apart(await moving(0), await moving(0.9)) > 1e-2);
});
