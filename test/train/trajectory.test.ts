/** Whole training runs against PyTorch's, step by step: published models and our tiny ones. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ownedOf } from "../../src/base/model-shape.ts";
import type { Sequence } from "../../src/data/batch.ts";
import { readPeftAdapter } from "../../src/io/peft.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { sliceModel } from "../../src/pruning/slice.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FineTuner, type FineTuneOptions } from "../../src/train/fine-tune.ts";
import { assertAllClose, largest, norm } from "../support/all-close.ts";
import { goldenTrajectories, type Trajectory } from "../support/golden-trajectory.ts";
import { assertGradients, trainedGradients } from "../support/gradients.ts";
import { runnableVariants } from "../support/kernel-suite.ts";
import { lastLogits } from "../support/logits.ts";
import { must } from "../support/must.ts";
import {
  tinyFolder,
  tinyReference,
  tinySequences,
  type TinyLora,
  type TinyName,
} from "../support/tiny-model.ts";

const LOSS_TOLERANCE = 1e-3;
const TOLERANCE = 1e-4;

/** Plain AdamW at a constant rate, examples in file order: what the references did. */
function plainOptions(steps: number, batchSize: number, rate: number): FineTuneOptions {
  return {
    steps,
    batchSize,
    accumulation: 1,
    peakRate: rate,
    schedule: "constant",
    warmupSteps: 0,
    clipNorm: null,
    weightDecay: 0.01,
    seed: 1,
    shuffle: false,
  };
}

function assertCurve(tuner: FineTuner, losses: readonly number[]): void {
  losses.forEach((want, step) => {
    const { loss } = tuner.step();
    assert.ok(Math.abs(loss - want) < LOSS_TOLERANCE, `step ${step}: loss ${loss}, wanted ${want}`);
  });
  assert.ok(tuner.isDone);
}

const variants = runnableVariants().map(({ variant }) => variant);

/** First gradients, the whole curve and the logits at its end. */
function followCurve(
  adapted: AdaptedModel,
  sequences: readonly Sequence[],
  want: Trajectory["dense" | "pruned"],
): void {
  const gradients = trainedGradients(adapted.model, adapted.parameters(), sequences.slice(0, 1));
  const wanted = Object.entries(want.first_step_gradients);
  assert.equal(wanted.length, gradients.size);
  // What is far smaller than the largest gradient is left over from cancelling.
  const floor = largest(wanted.map(([, { l2 }]) => l2)) / 20;
  for (const [name, { l2, first4 }] of wanted) {
    const gradient = spread(adapted.model, name, must(gradients.get(name)));
    const scale = Math.max(l2, floor);
    assertAllClose([norm(gradient)], [l2], TOLERANCE, `length of ${name}`, scale);
    assertAllClose(gradient.subarray(0, 4), first4, TOLERANCE, name, scale);
  }
  const options = plainOptions(12, 1, 5e-3);
  assertCurve(new FineTuner(adapted.model, adapted.parameters(), sequences, options), want.losses);
  assertLast8(adapted.model, sequences, want.final_last8_logits);
}

/** A gradient with zeros where a B factor has lost rows: the reference masks and does not slice. */
function spread({ shape, structure }: Model, name: string, gradient: Float32Array): Float32Array {
  const layer = shape.linears.find((each) => name === `${each.name}.lora_B.weight`);
  const rows = layer && ownedOf(layer, structure).rows;
  if (rows === undefined) return gradient;
  const R = gradient.length / rows.indices.length;
  const whole = new Float32Array(rows.of * R);
  rows.indices.forEach((row, k) => whole.set(gradient.subarray(k * R, (k + 1) * R), row * R));
  return whole;
}

function assertLast8(
  model: Model,
  sequences: readonly Sequence[],
  want: readonly (readonly number[])[],
): void {
  sequences.forEach((sequence, i) => {
    const logits = must(lastLogits(model, [sequence])[0]);
    const last8 = logits.slice(-8);
    assertAllClose(last8, want[i] ?? [], TOLERANCE, `logits ${i}`, largest(logits));
  });
}

for (const variant of variants.filter((name) => name !== "debug")) {
  for (const { family, folder, init, skip, read } of goldenTrajectories) {
    const open = (): Model => loadModel(Engine.create({ kernels: variant }), folder);
    const attach = (model: Model): AdaptedModel => {
      const adapted = AdaptedModel.attach(model, {
        lora: { rank: 4, alpha: 8, targets: model.family.defaultTargets, dropout: 0 },
        trainHead: false,
        seed: 1,
      });
      adapted.load(readPeftAdapter(init, 8).tensors, init);
      return adapted;
    };

    test(`${family} follows the reference's training curve (${variant})`, { skip }, () => {
      const { sequences, dense } = read();
      followCurve(attach(open()), sequences, dense);
    });

    test(`${family}, sliced, follows the reference's pruned curve (${variant})`, { skip }, () => {
      const { sequences, structure, pruned } = read();
      const model = open();
      const adapted = attach(model);
      sliceModel(model, structure);
      // The reference's B factors are not zero: without them, the base alone is compared.
      const factors = adapted.lora.parameters().map(({ tensor }) => tensor);
      const before = factors.map((tensor) => tensor.toHost());
      for (const tensor of factors) tensor.f32.fill(0);
      assertLast8(model, sequences, pruned.last8_logits_without_lora);
      factors.forEach((tensor, i) => tensor.f32.set(must(before[i])));
      followCurve(adapted, sequences, pruned);
    });
  }
}

for (const variant of variants) {
  for (const name of ["bert-classify", "llama-tied", "llama-classify"] satisfies TinyName[]) {
    test(`${name} follows PEFT's training curve, head included (${variant})`, () => {
      const reference = tinyReference(name);
      const want = reference.lora as TinyLora;
      const model = loadModel(Engine.create({ kernels: variant }), tinyFolder(name));
      const path = join(tinyFolder(name), "adapter");
      const peft = readPeftAdapter(path);
      assert.equal(peft.rank, want.rank);
      const adapted = AdaptedModel.attach(model, {
        lora: { rank: peft.rank, alpha: peft.alpha, targets: peft.targets, dropout: 0 },
        trainHead: true,
        seed: 1,
      });
      adapted.load(peft.tensors, path);
      const rows = tinySequences(reference);
      const sequences = want.batches.flat().map((i) => rows[i] as Sequence);

      const gradients = trainedGradients(model, adapted.parameters(), sequences.slice(0, 2));
      assertGradients(gradients, want.first_gradients, TOLERANCE);
      assert.deepEqual([...gradients.keys()].sort(), Object.keys(want.first_gradients).sort());

      const options = plainOptions(want.losses.length, 2, want.rate);
      assertCurve(new FineTuner(model, adapted.parameters(), sequences, options), want.losses);
      lastLogits(model, rows).forEach((logits, i) => {
        assertAllClose(logits, want.final_last_logits[i] ?? [], TOLERANCE, `logits of row ${i}`);
      });
    });
  }
}
