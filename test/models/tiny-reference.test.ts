/** Tiny random models against what transformers computes with them in float64. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import { packBatch, type PackedBatch } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import type { LossTargets, Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "../support/all-close.ts";
import { assertGradients, lossAndGradients } from "../support/gradients.ts";
import { runnableVariants } from "../support/kernel-suite.ts";
import { lastLogits } from "../support/logits.ts";
import {
  tinyFolder,
  tinyReference,
  tinySequences,
  type TinyName,
  type TinyReference,
} from "../support/tiny-model.ts";

const TOLERANCE = 1e-4;
const names: readonly TinyName[] = [
  "bert-classify",
  "bert-masked",
  "llama-tied",
  "llama-untied",
  "llama-classify",
];

function targetsOf(model: Model, batch: PackedBatch, { labels, rows: rowsOf }: TinyReference): LossTargets {
  if (model.task === "classify") return { kind: "classes", labels: batch.labels };
  if (model.task === "causal-lm") return { kind: "next-token" };
  const flat = labels.flatMap((own, b) => [own].flat().slice(0, rowsOf[b]?.length));
  const rows = flat.flatMap((label, row) => (label >= 0 ? [row] : []));
  return { kind: "tokens", rows, labels: rows.map((row) => flat[row] as number) };
}

for (const { variant } of runnableVariants()) {
  for (const name of names) {
    test(`${name} gives transformers' hidden states and logits (${variant})`, () => {
      const engine = Engine.create({ kernels: variant });
      const model = loadModel(engine, tinyFolder(name));
      const want = tinyReference(name);
      const [first] = tinySequences(want);
      assert.ok(first);
      const hidden: Float32Array[] = [];
      engine.step(() => {
        const tape = new Tape(engine, { recording: false });
        model.body.forward(tape, packBatch([first]), (state) => hidden.push(state.toHost()));
      });
      assert.equal(hidden.length, want.hidden_states_of_row_0.length);
      want.hidden_states_of_row_0.forEach((state, k) => {
        assertAllClose(hidden[k] ?? [], state.flat(), TOLERANCE, `hidden state ${k}`);
      });
      lastLogits(model, tinySequences(want)).forEach((logits, i) => {
        assertAllClose(logits, want.last_logits[i] ?? [], TOLERANCE, `logits of row ${i}`);
      });
    });

    test(`${name} gives transformers' loss and gradients of a batch (${variant})`, () => {
      const model = loadModel(Engine.create({ kernels: variant }), tinyFolder(name));
      const want = tinyReference(name);
      const batch = packBatch(tinySequences(want));
      const targets = targetsOf(model, batch, want);
      const { loss, gradients } = lossAndGradients(model, batch, targets);
      assertAllClose([loss], [want.loss], TOLERANCE, "loss");
      assertGradients(gradients, want.gradients, TOLERANCE);
      assert.deepEqual([...gradients.keys()].sort(), Object.keys(want.gradients).sort());
    });
  }
}
