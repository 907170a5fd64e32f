/** Whole training runs against PyTorch's, step by step: published models and our tiny ones. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import { padBatch, type Sequence } from "../../src/data/batch.ts";
import { readPeftAdapter } from "../../src/io/peft.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FineTuner, type FineTuneOptions } from "../../src/train/fine-tune.ts";
import { assertAllClose, largest, norm } from "../support/all-close.ts";
import { assertGradients } from "../support/gradients.ts";
import { runnableVariants } from "../support/kernel-suite.ts";
import { lastLogits } from "../support/logits.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import {
  tinyFolder,
  tinyReference,
  tinySequences,
  type TinyLora,
  type TinyName,
} from "../support/tiny-model.ts";

const LOSS_TOLERANCE = 1e-3;
const TOLERANCE = 1e-4;

interface Trajectory {
  input_ids: number[][];
  labels: number[] | null;
  dense: {
    losses: number[];
    first_step_gradients: Record<string, { l2: number; first4: number[] }>;
    final_last8_logits: number[][];
  };
}

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
    padId: 0,
  };
}

/** Gradients of the trained tensors for one batch, by name. */
function trainedGradients(
  model: Model,
  adapted: AdaptedModel,
  sequences: readonly Sequence[],
): Map<string, Float32Array> {
  const parameters = adapted.parameters();
  for (const { tensor } of parameters) tensor.requiresGrad = true;
  return model.engine.step(() => {
    const tape = new Tape(model.engine);
    const batch = padBatch(sequences, 0);
    const targets =
      model.task === "classify"
        ? ({ kind: "classes", labels: batch.labels } as const)
        : ({ kind: "next-token" } as const);
    tape.backward(model.loss(tape, batch, targets));
    return new Map(
      parameters.map(({ name, tensor }) => [
        name,
        tape.gradient(tensor)?.toHost() ?? new Float32Array(0),
      ]),
    );
  });
}

function assertCurve(tuner: FineTuner, losses: readonly number[]): void {
  losses.forEach((want, step) => {
    const { loss } = tuner.step();
    assert.ok(Math.abs(loss - want) < LOSS_TOLERANCE, `step ${step}: loss ${loss}, wanted ${want}`);
  });
  assert.ok(tuner.isDone);
}

const published = [
  { family: "bert", folder: join("bert-tiny-sst2-encoder", "fixture-vocab48") },
  { family: "llama", folder: "llama-stories260K" },
];
const variants = runnableVariants().map(({ variant }) => variant);

for (const variant of variants.filter((name) => name !== "debug")) {
  for (const { family, folder } of published) {
    const golden = join(sharedData, "golden", family);
    const skip = missing(folder, join("golden", family, "trajectory.json"));

    test(`${folder} follows the reference's training curve (${variant})`, { skip }, () => {
      const want = JSON.parse(readFileSync(join(golden, "trajectory.json"), "utf8")) as Trajectory;
      const model = loadModel(Engine.create({ kernels: variant }), join(sharedData, folder));
      const adapted = AdaptedModel.attach(model, {
        lora: { rank: 4, alpha: 8, targets: model.family.defaultTargets, dropout: 0 },
        trainHead: false,
        seed: 1,
      });
      const init = join(golden, "lora_init.safetensors");
      adapted.load(readPeftAdapter(init, 8).tensors, init);
      const sequences = want.input_ids.map((ids, i) => {
        const label = want.labels?.[i];
        return label === undefined ? { ids } : { ids, label };
      });

      const gradients = trainedGradients(model, adapted, sequences.slice(0, 1));
      const wanted = Object.entries(want.dense.first_step_gradients);
      assert.equal(wanted.length, gradients.size);
      // What is far smaller than the largest gradient is left over from cancelling.
      const floor = largest(wanted.map(([, { l2 }]) => l2)) / 20;
      for (const [name, { l2, first4 }] of wanted) {
        const gradient = gradients.get(name) ?? new Float32Array(0);
        const scale = Math.max(l2, floor);
        assertAllClose([norm(gradient)], [l2], TOLERANCE, `length of ${name}`, scale);
        assertAllClose(gradient.subarray(0, 4), first4, TOLERANCE, name, scale);
      }

      const tuner = new FineTuner(
        model,
        adapted.parameters(),
        sequences,
        plainOptions(12, 1, 5e-3),
      );
      assertCurve(tuner, want.dense.losses);
      sequences.forEach((sequence, i) => {
        const [logits] = lastLogits(model, [sequence]);
        const last8 = logits?.slice(-8) ?? [];
        const scale = largest(logits ?? []);
        assertAllClose(
          last8,
          want.dense.final_last8_logits[i] ?? [],
          TOLERANCE,
          `logits ${i}`,
          scale,
        );
      });
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

      const gradients = trainedGradients(model, adapted, sequences.slice(0, 2));
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
