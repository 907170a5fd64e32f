/** One update: accumulation, divergence, dropout, and what it does to memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tape } from "../../src/autograd/tape.ts";
import { ExitCode, FedspineError } from "../../src/base/errors.ts";
import { packBatch, type Sequence } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { Trainer, type StepHooks } from "../../src/train/trainer.ts";
import { assertAllClose, largest } from "../support/all-close.ts";
import { must } from "../support/must.ts";
import { tinyFolder } from "../support/tiny-model.ts";

const SEQUENCES: readonly Sequence[] = [
  { ids: [2, 7, 11, 3], label: 0 },
  { ids: [2, 9, 30, 8, 3], label: 2 },
  { ids: [2, 12, 3], label: 1 },
  { ids: [2, 25, 26, 27, 28, 3], label: 2 },
];

interface Bench {
  readonly model: Model;
  readonly adapted: AdaptedModel;
  readonly trainer: Trainer;
}

interface BenchOptions extends StepHooks {
  readonly dropout?: number;
  readonly seed?: number;
  readonly rate?: number;
}

function bench(options: BenchOptions = {}): Bench {
  const { afterBackward, beforeUpdate } = options;
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"));
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 2, alpha: 4, targets: "all-linear", dropout: options.dropout ?? 0 },
    trainHead: true,
    seed: 5,
  });
  const trainer = new Trainer(model.engine, adapted.parameters(), {
    schedule: { kind: "constant", peakRate: options.rate ?? 0.02, warmupSteps: 0, totalSteps: 10 },
    clipNorm: 1,
    seed: options.seed ?? 1,
    ...(afterBackward === undefined ? {} : { afterBackward }),
    ...(beforeUpdate === undefined ? {} : { beforeUpdate }),
  });
  return { model, adapted, trainer };
}

function lossOf(model: Model, sequences: readonly Sequence[]): (tape: Tape) => Tensor {
  const batch = packBatch(sequences);
  return (tape) => model.loss(tape, batch, { kind: "classes", labels: batch.labels });
}

test("accumulated micro-batches make the update of one large batch", () => {
  const [whole, parts] = [bench(), bench()];
  for (let step = 0; step < 3; step++) {
    const large = whole.trainer.step([lossOf(whole.model, SEQUENCES)]);
    const small = parts.trainer.step(
      [SEQUENCES.slice(0, 2), SEQUENCES.slice(2)].map((part) => lossOf(parts.model, part)),
    );
    assertAllClose([small.loss], [large.loss], 1e-5, `loss of step ${step}`);
    assertAllClose([small.gradientNorm], [large.gradientNorm], 1e-4, `norm of step ${step}`);
  }
  const expected = whole.adapted.export();
  for (const [name, { data }] of parts.adapted.export()) {
    assertAllClose(data, expected.get(name)?.data ?? [], 1e-3, name);
  }
});

test("a step counts from 0 and reports the rate it used", () => {
  const { model, trainer } = bench();
  const first = trainer.step([lossOf(model, SEQUENCES)]);
  const second = trainer.step([lossOf(model, SEQUENCES)]);
  assert.deepEqual([first.step, second.step, trainer.stepCount], [0, 1, 2]);
  assert.equal(first.rate, 0.02);
  assert.ok(second.loss < first.loss);
});

test("hooks see every backward pass, and change gradients before norm and update", () => {
  const order: string[] = [];
  let tensors: readonly Tensor[] = [];
  const made = bench({
    afterBackward(tape) {
      order.push("backward");
      assert.ok(tensors.every((tensor) => largest(must(tape.gradient(tensor)).f32) >= 0));
    },
    beforeUpdate(trained) {
      order.push("update");
      for (const { name, gradient } of trained)
        if (!name.endsWith("lora_B.weight")) gradient.f32.fill(0);
      const before = made.model.engine.stats.step;
      made.model.engine.empty([1000]);
      assert.ok(made.model.engine.stats.step > before);
    },
  });
  tensors = made.adapted.parameters().map(({ tensor }) => tensor);
  const parts = [SEQUENCES.slice(0, 2), SEQUENCES.slice(2)];
  const { gradientNorm } = made.trainer.step(parts.map((part) => lossOf(made.model, part)));
  assert.deepEqual(order, ["backward", "backward", "update"]);
  assert.equal(made.model.engine.stats.step, 0);
  const other = bench();
  const plain = other.trainer.step([lossOf(other.model, SEQUENCES)]).gradientNorm;
  assert.ok(gradientNorm > 0 && gradientNorm < plain);
});

test("divergence is an error that leaves every parameter and moment as it was", () => {
  const { model, adapted, trainer } = bench();
  trainer.step([lossOf(model, SEQUENCES)]);
  const before = { values: adapted.export(), state: trainer.export() };
  const poisoned = (tape: Tape): Tensor => {
    const loss = lossOf(model, SEQUENCES)(tape);
    const out = tape.engine.empty([1]);
    out.f32[0] = loss.f32[0] as number;
    tape.record(out, [loss], () => [
      tape.engine.fromHost({ shape: [1], data: Float32Array.of(Infinity) }),
    ]);
    return out;
  };
  const lost = (tape: Tape): Tensor => {
    const loss = lossOf(model, SEQUENCES)(tape);
    loss.f32[0] = NaN;
    return loss;
  };
  for (const compute of [poisoned, lost]) {
    assert.throws(
      () => trainer.step([lossOf(model, SEQUENCES), compute]),
      (error) => {
        assert.ok(error instanceof FedspineError);
        assert.match(error.message, /training diverged at step 1: expected a finite loss/);
        assert.equal(error.exitCode, ExitCode.failed);
        return true;
      },
    );
    assert.deepEqual(adapted.export(), before.values);
    assert.deepEqual(trainer.export(), before.state);
  }
  assert.equal(trainer.step([lossOf(model, SEQUENCES)]).step, 1);
});

test("dropout masks depend on the seed and the step, and a restored run draws the same", () => {
  const run = (seed: number, steps: number): { losses: number[]; bench: Bench } => {
    const made = bench({ dropout: 0.4, seed });
    const losses = Array.from(
      { length: steps },
      () => made.trainer.step([lossOf(made.model, SEQUENCES)]).loss,
    );
    return { losses, bench: made };
  };
  const { losses } = run(1, 4);
  assert.deepEqual(run(1, 4).losses, losses);
  assert.notDeepEqual(run(2, 4).losses, losses);
  const half = run(1, 2).bench;
  const again = bench({ dropout: 0.4, seed: 1 });
  again.adapted.load(half.adapted.export(), "a test");
  again.trainer.restore(half.trainer.export());
  const rest = [2, 3].map(() => again.trainer.step([lossOf(again.model, SEQUENCES)]).loss);
  assert.deepEqual(rest, losses.slice(2));
});

test("each step and each micro-batch draws a mask of its own", () => {
  // At a rate of zero nothing but the masks can change the loss.
  const { model, adapted, trainer } = bench({ dropout: 0.4, rate: 0 });
  for (const { tensor } of adapted.lora.parameters()) tensor.f32.fill(0.2);
  const losses = [0, 1, 2].map(() => trainer.step([lossOf(model, SEQUENCES)]).loss);
  assert.equal(new Set(losses).size, losses.length);
  const separate: number[] = [];
  trainer.step(
    [0, 1].map(() => (tape: Tape) => {
      const loss = lossOf(model, SEQUENCES)(tape);
      separate.push(loss.f32[0] as number);
      return loss;
    }),
  );
  assert.notEqual(separate[0], separate[1]);
});

test("only what is trained changes", () => {
  const { model, adapted, trainer } = bench();
  const trained = new Set(adapted.parameters().map(({ name }) => name));
  const weights = () =>
    new Map(model.store.all().map(({ name, tensor }) => [name, tensor.toHost()] as const));
  const before = weights();
  const factors = adapted.lora.export();
  trainer.step([lossOf(model, SEQUENCES)]);
  trainer.step([lossOf(model, SEQUENCES)]);
  for (const [name, values] of weights()) {
    if (trained.has(name)) assert.notDeepEqual(values, before.get(name), name);
    else assert.deepEqual(values, before.get(name), name);
  }
  for (const [name, { data }] of adapted.lora.export()) {
    assert.notDeepEqual(data, factors.get(name)?.data, name);
  }
});

test("steps take the same memory every time and give everything back", () => {
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"));
  const { engine } = model;
  const before = engine.stats;
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 2, alpha: 4, targets: "all-linear", dropout: 0.1 },
    trainHead: true,
    seed: 5,
  });
  const parameters = adapted.parameters();
  const trainer = new Trainer(engine, parameters, {
    schedule: { kind: "constant", peakRate: 0.01, warmupSteps: 0, totalSteps: 10 },
    clipNorm: null,
    seed: 1,
  });
  const { state } = engine.stats;
  const numTrained = parameters.reduce((sum, { tensor }) => sum + tensor.size, 0);
  const factors = adapted.lora.parameters().reduce((sum, { tensor }) => sum + tensor.size, 0);
  const slack = 64 * 4 * parameters.length;
  const expected = 4 * (3 * numTrained + factors);
  assert.ok(state - before.state >= expected && state - before.state < expected + slack);

  const peaks = Array.from(
    { length: 6 },
    () => trainer.step([lossOf(model, SEQUENCES)]).stepPeakBytes,
  );
  assert.ok((peaks[0] as number) > 0);
  assert.deepEqual(peaks, new Array(6).fill(peaks[0]));
  assert.equal(engine.stats.state, state);
  assert.equal(engine.stats.step, 0);
  const grown = engine.stats.memoryBytes;
  for (let step = 0; step < 20; step++) trainer.step([lossOf(model, SEQUENCES)]);
  assert.equal(engine.stats.memoryBytes, grown);

  trainer.dispose();
  adapted.detach();
  assert.equal(engine.stats.state, before.state);
  assert.equal(engine.stats.weights, before.weights);
  assert.ok(model.store.all().every(({ tensor }) => !tensor.requiresGrad));
});
