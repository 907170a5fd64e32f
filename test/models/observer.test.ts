/** The observer of unit activations: what it sees, and that gradients reach it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import type { UnitKind } from "../../src/base/structure.ts";
import { packBatch } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import type { LossTargets } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, largest } from "../support/all-close.ts";
import { must } from "../support/must.ts";
import { tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";

for (const name of ["bert-classify", "llama-tied"] as const) {
  test(`${name}: an activation times its gradient is the signed Taylor sum of the columns it enters`, () => {
    const model = loadModel(Engine.create(), tinyFolder(name));
    const batch = packBatch(tinySequences(tinyReference(name)));
    const targets: LossTargets =
      model.task === "classify"
        ? { kind: "classes", labels: batch.labels }
        : { kind: "next-token" };
    const seen: { layer: number; kind: UnitKind; tensor: Tensor }[] = [];
    model.body.observer = {
      unitActivations: (layer, kind, tensor) => void seen.push({ layer, kind, tensor }),
    };
    for (const { attentionOutput, down } of model.body.blocks) {
      for (const { weight } of [attentionOutput, down]) weight.tensor.requiresGrad = true;
    }
    model.engine.step(() => {
      const tape = new Tape(model.engine);
      tape.backward(model.loss(tape, batch, targets));
      assert.deepEqual(
        seen.map(({ layer, kind }) => `${layer} ${kind}`),
        ["0 heads", "0 ffn", "1 heads", "1 ffn"],
      );
      for (const { layer, kind, tensor } of seen) {
        const block = must(model.body.blocks[layer]);
        const weight = (kind === "heads" ? block.attentionOutput : block.down).weight.tensor;
        const ofActivations = columnSums(tensor, must(tape.gradient(tensor)));
        const ofWeights = columnSums(weight, must(tape.gradient(weight)));
        const scale = largest(ofWeights);
        assertAllClose(ofActivations, ofWeights, 1e-4, `layer ${layer}, ${kind}`, scale);
      }
    });
  });
}

test("gradients of activations are there although nothing below is trained", () => {
  const model = loadModel(Engine.create(), tinyFolder("bert-classify"));
  const batch = packBatch(tinySequences(tinyReference("bert-classify")));
  const seen: Tensor[] = [];
  model.body.observer = { unitActivations: (_layer, _kind, tensor) => void seen.push(tensor) };
  model.engine.step(() => {
    const tape = new Tape(model.engine);
    tape.backward(model.loss(tape, batch, { kind: "classes", labels: batch.labels }));
    assert.equal(seen.length, 4);
    for (const tensor of seen) assert.ok(largest(must(tape.gradient(tensor)).f32) > 0);
  });
});

/** Sums over the rows of a ∘ b, for each column. */
function columnSums(a: Tensor, b: Tensor): Float64Array {
  const sums = new Float64Array(a.cols);
  const [left, right] = [a.f32, b.f32];
  left.forEach((value, i) => {
    const col = i % a.cols;
    sums[col] = (sums[col] as number) + value * (right[i] as number);
  });
  return sums;
}
