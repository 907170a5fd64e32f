/** Training does not depend on the number of threads: the same losses and factors bit for bit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { bert } from "../../src/models/bert.ts";
import { describeModel } from "../../src/models/description.ts";
import { llama } from "../../src/models/llama.ts";
import { Model } from "../../src/models/model.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";

/** Large enough that most of a step's kernels are shared out. */
const size = { vocab_size: 500, hidden_size: 96, intermediate_size: 256, num_hidden_layers: 2 };
const families = {
  bert: {
    family: bert,
    config: { ...size, num_attention_heads: 4, max_position_embeddings: 64, type_vocab_size: 2 },
  },
  llama: {
    family: llama,
    config: {
      ...{ ...size, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64 },
      ...{ rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: "silu" },
    },
  },
};

/** Losses and final factors of a short run. */
function train(name: keyof typeof families, kernels: "simd" | "auto", threads: number) {
  const engine = Engine.create({ kernels, threads });
  assert.equal(engine.threads, threads);
  const labels = ["a", "b", "c"];
  const store = new ParameterStore(engine, { rng: Rng.fromSeed(1) });
  const model = new Model(store, describeModel({ ...families[name], task: "classify", labels }));
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 4, alpha: 8, targets: "all-linear", dropout: 0.1 },
    trainHead: true,
    seed: 1,
  });
  const rng = Rng.fromSeed(2);
  const sequences = Array.from({ length: 24 }, (_, i) => ({
    ids: Array.from({ length: 20 + rng.int(30) }, () => rng.int(size.vocab_size)),
    label: i % labels.length,
  }));
  const tuner = new FineTuner(model, adapted.parameters(), sequences, {
    ...FINE_TUNE_DEFAULTS,
    ...{ steps: 6, batchSize: 8, peakRate: 1e-2 },
  });
  const losses: number[] = [];
  while (!tuner.isDone) losses.push(tuner.step().loss);
  engine.dispose();
  return { losses, factors: adapted.export() };
}

for (const name of ["bert", "llama"] as const) {
  test(`a ${name} curve and its adapter are the same on 1, 2 and 4 threads`, () => {
    for (const kernels of ["simd", "auto"] as const) {
      const alone = train(name, kernels, 1);
      assert.equal(alone.losses.length, 6);
      for (const threads of [2, 4]) {
        assert.deepEqual(train(name, kernels, threads), alone, `${kernels}, ${threads} threads`);
      }
    }
  });
}
