/** AdamW, SGD, clipping and schedules against the numbers of PyTorch and transformers. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Tape } from "../../src/autograd/tape.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { AdamW } from "../../src/train/adamw.ts";
import type { Optimizer, TrainedTensor } from "../../src/train/optimizer.ts";
import { learningRate, type ScheduleKind } from "../../src/train/schedule.ts";
import { Sgd } from "../../src/train/sgd.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fixture } from "../support/fixtures.ts";
import { weightedSum } from "../support/grad-check.ts";

interface OptimizerReference {
  start: number[];
  gradients: number[][];
  adamw: {
    settings: { lr: number; betas: [number, number]; eps: number; weight_decay: number };
    parameters: number[][];
  };
  sgd: {
    settings: { lr: number; momentum: number; weight_decay: number };
    parameters: number[][];
  };
  clipping: { gradient: number[]; bound: number; norm: number; clipped: number[] }[];
  schedules: {
    peak_rate: number;
    warmup_steps: number;
    total_steps: number;
    linear: number[];
    cosine: number[];
  };
}

const want = JSON.parse(
  readFileSync(fixture("tiny", "optimizers.json"), "utf8"),
) as OptimizerReference;
const { start, gradients } = want;

function trainedTensor(engine: Engine): TrainedTensor {
  const tensor = engine.fromHost(
    { shape: [start.length], data: Float32Array.from(start) },
    "state",
  );
  return { name: "p", tensor, gradient: engine.zeros([start.length], "state") };
}

function adamW(engine: Engine, trained: TrainedTensor): Optimizer {
  const { betas, eps, weight_decay: weightDecay } = want.adamw.settings;
  return new AdamW(engine, [trained], { beta1: betas[0], beta2: betas[1], eps, weightDecay });
}

function sgd(engine: Engine, trained: TrainedTensor): Optimizer {
  const { momentum, weight_decay: weightDecay } = want.sgd.settings;
  return new Sgd(engine, [trained], { momentum, weightDecay });
}

const optimizers = [
  { name: "AdamW", make: adamW, rate: want.adamw.settings.lr, parameters: want.adamw.parameters },
  { name: "SGD", make: sgd, rate: want.sgd.settings.lr, parameters: want.sgd.parameters },
];

for (const kernels of ["simd", "relaxed", "reference"] as const) {
  for (const { name, make, rate, parameters } of optimizers) {
    test(`${name} takes PyTorch's steps (${kernels})`, () => {
      const engine = Engine.create({ kernels });
      const trained = trainedTensor(engine);
      const optimizer = make(engine, trained);
      assert.equal(parameters.length, gradients.length);
      gradients.forEach((gradient, step) => {
        // The trainer hands the scale over instead of scaling the gradient itself.
        trained.gradient.f32.set(gradient.map((value) => value / 4));
        optimizer.update(rate, 4);
        assertAllClose(trained.tensor.f32, parameters[step] ?? [], 1e-5, `after step ${step}`);
      });
    });
  }
}

for (const { name, make, rate } of optimizers) {
  test(`${name} continues from its exported state bit for bit`, () => {
    const engine = Engine.create();
    const run = (optimizer: Optimizer, { tensor, gradient }: TrainedTensor, from: number) => {
      for (const values of gradients.slice(from, from + 2)) {
        gradient.f32.set(values);
        optimizer.update(rate, 1);
      }
      return tensor.toHost();
    };
    const first = trainedTensor(engine);
    const optimizer = make(engine, first);
    const middle = run(optimizer, first, 0);
    const state = optimizer.export();
    const end = run(optimizer, first, 2);

    const second = trainedTensor(engine);
    second.tensor.f32.set(middle);
    const continued = make(engine, second);
    continued.restore(state);
    assert.deepEqual(run(continued, second, 2), end);

    const fresh = trainedTensor(engine);
    fresh.tensor.f32.set(middle);
    assert.notDeepEqual(run(make(engine, fresh), fresh, 2), end);
  });

  test(`${name} refuses a state of other tensors and frees its moments`, () => {
    const engine = Engine.create();
    const trained = trainedTensor(engine);
    const { state: before } = engine.stats;
    const optimizer = make(engine, trained);
    assert.ok(engine.stats.state > before);
    const [key] = optimizer.export().moments.keys();
    assert.throws(
      () => optimizer.restore({ step: 1, moments: new Map() }),
      (error) =>
        error instanceof CheckpointError &&
        error.message === `optimiser state ${key}: expected [6], got nothing of that name`,
    );
    optimizer.dispose();
    assert.equal(engine.stats.state, before);
  });
}

test("clipping scales the gradients of all tensors by their common length, as PyTorch's", () => {
  assert.ok(want.clipping.some(({ norm, bound }) => norm > bound));
  assert.ok(want.clipping.some(({ norm, bound }) => norm < bound));
  for (const { gradient, bound, norm, clipped } of want.clipping) {
    const engine = Engine.create();
    // Two tensors with three elements each of the one gradient vector.
    const parameters = [0, 3].map((from) => ({
      name: `p${from}`,
      tensor: engine.zeros([3], "state"),
      weights: Float32Array.from(gradient.slice(from, from + 3)),
    }));
    const trainer = new Trainer(
      engine,
      parameters,
      {
        schedule: { kind: "constant", peakRate: 1, warmupSteps: 0, totalSteps: 1 },
        clipNorm: bound,
        seed: 1,
      },
      (trained) => new Sgd(engine, trained, { momentum: 0, weightDecay: 0 }),
    );
    const result = trainer.step([
      (tape: Tape): Tensor => {
        const parts = parameters.map(({ tensor, weights }) => weightedSum(tape, tensor, weights));
        return addScalars(tape, parts[0] as Tensor, parts[1] as Tensor);
      },
    ]);
    assertAllClose([result.gradientNorm], [norm], 1e-6, "norm before clipping");
    const moved = parameters.flatMap(({ tensor }) => [...tensor.f32].map((value) => -value));
    assertAllClose(moved, clipped, 1e-6, "the step");
  }
});

/** x + y for two losses, recorded. */
function addScalars(tape: Tape, x: Tensor, y: Tensor): Tensor {
  const out = tape.engine.empty([1]);
  out.f32[0] = (x.f32[0] as number) + (y.f32[0] as number);
  tape.record(out, [x, y], (dOut) => [dOut, dOut]);
  return out;
}

test("decay after warm-up follows transformers' schedules", () => {
  const {
    peak_rate: peakRate,
    warmup_steps: warmupSteps,
    total_steps: totalSteps,
  } = want.schedules;
  for (const kind of ["linear", "cosine"] as const) {
    const rates = want.schedules[kind];
    const ours = rates.map((_, step) =>
      learningRate({ kind, peakRate, warmupSteps, totalSteps }, step),
    );
    // Beyond the last step transformers' cosine rises again; ours stays at zero.
    const [from, to] = [warmupSteps, totalSteps + 1];
    assertAllClose(ours.slice(from, to), rates.slice(from, to), 1e-9, kind, peakRate);
  }
});

test("warm-up rises in equal parts to the peak and loses no step to a rate of zero", () => {
  const schedule = { peakRate: 0.5, warmupSteps: 4, totalSteps: 20 };
  for (const kind of ["constant", "linear", "cosine"] satisfies ScheduleKind[]) {
    const rates = [0, 1, 2, 3].map((step) => learningRate({ kind, ...schedule }, step));
    assert.deepEqual(rates, [0.125, 0.25, 0.375, 0.5]);
    assert.equal(learningRate({ kind, ...schedule }, 4), 0.5);
  }
  assert.equal(learningRate({ kind: "constant", ...schedule }, 1000), 0.5);
  assert.equal(learningRate({ kind: "linear", ...schedule }, 20), 0);
  assert.ok(learningRate({ kind: "cosine", ...schedule }, 1000) < 1e-12);
  const all = { kind: "linear", peakRate: 1, warmupSteps: 3, totalSteps: 3 } as const;
  assert.deepEqual(
    [0, 1, 2, 3].map((step) => learningRate(all, step)),
    [1 / 3, 2 / 3, 1, 1],
  );
});
