/** Layers as the unit of memory: freed early, or run again, with the same bits either way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import { Rng } from "../../src/base/rng.ts";
import { packBatch } from "../../src/data/batch.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import type { LossTargets } from "../../src/models/model.ts";
import { countedModel, countedModels } from "../support/counted-steps.ts";
import { must } from "../support/must.ts";
import { unevenStructure } from "../support/structures.ts";

const SEQUENCES = [5, 17, 9, 1].map((length, i) => ({
  ids: Array.from({ length }, (_, t) => (31 * t + i) % 300),
  label: i % 3,
}));

for (const [name, kind] of Object.entries(countedModels)) {
  const cases = [
    { dropout: 0, targets: "all-linear" },
    { dropout: 0.2, targets: ["1.output.dense", "1.mlp.down_proj"] },
  ] as const;
  for (const { dropout, targets: where } of cases) {
    test(`${name}, dropout ${dropout}: layers that are run again give the same bits and show the same units`, () => {
      const engine = Engine.create();
      const model = countedModel(engine, kind, unevenStructure);
      const lora = { rank: 4, alpha: 8, targets: where, dropout };
      const adapted = AdaptedModel.attach(model, { lora, trainHead: true, seed: 3 });
      const rng = Rng.fromSeed(7);
      for (const { tensor } of adapted.parameters()) {
        tensor.requiresGrad = true;
        tensor.f32.forEach((_, i, values) => (values[i] = 0.1 * rng.normal()));
      }
      const batch = packBatch(SEQUENCES);
      const targets: LossTargets =
        model.task === "classify"
          ? { kind: "classes", labels: batch.labels }
          : { kind: "next-token" };
      const run = (recomputes: boolean) => {
        engine.arena.resetPeaks();
        const seen: string[] = [];
        model.body.observer = { unitActivations: (layer, part) => seen.push(`${layer} ${part}`) };
        const values = engine.step(() => {
          const tape = new Tape(engine, { rng: Rng.fromSeed(5), recomputes });
          const loss = model.loss(tape, batch, targets);
          tape.backward(loss);
          const gradients = adapted
            .parameters()
            .map(({ tensor }) => [...must(tape.gradient(tensor)).f32]);
          return { loss: loss.f32[0], gradients };
        });
        return { ...values, seen: seen.sort(), peak: engine.stats.stepPeak };
      };
      const [kept, again] = [run(false), run(true)];
      assert.equal(again.loss, kept.loss);
      assert.deepEqual(again.gradients, kept.gradients);
      assert.deepEqual(again.seen, kept.seen);
      assert.equal(engine.stats.step, 0);
    });
  }
}

test("a step of many layers keeps one layer's tensors when it recomputes, and inference keeps none", () => {
  const peak = (numLayers: number, recomputes: boolean, recording = true): number => {
    const engine = Engine.create();
    const encoder = must(countedModels["encoder with mean pooling"]);
    const config = { ...encoder.config, num_hidden_layers: numLayers };
    const model = countedModel(engine, { ...encoder, config }, unevenStructure);
    const lora = { rank: 2, alpha: 2, targets: "all-linear", dropout: 0 };
    AdaptedModel.attach(model, { lora, trainHead: true, seed: 1 });
    const batch = packBatch(SEQUENCES);
    engine.step(() => {
      const tape = new Tape(engine, { recomputes, recording });
      const loss = model.loss(tape, batch, { kind: "classes", labels: batch.labels });
      if (recording) tape.backward(loss);
    });
    return engine.stats.stepPeak;
  };
  const rows = SEQUENCES.length * 17;
  const hidden = 4 * 48 * rows;
  const growth = (recomputes: boolean): number => (peak(11, recomputes) - peak(3, recomputes)) / 8;
  assert.ok(growth(true) < 1.3 * hidden, `${growth(true)} of ${hidden}`);
  assert.ok(growth(false) > 5 * hidden, `${growth(false)} of ${hidden}`);
  assert.equal(peak(11, false, false), peak(3, false, false));
});
