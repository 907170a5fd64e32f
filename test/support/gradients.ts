/** Gradients of every parameter of a model, and their comparison with a reference. */
import assert from "node:assert/strict";
import { Tape } from "../../src/autograd/tape.ts";
import { packBatch, type Sequence } from "../../src/data/batch.ts";
import type { LossTargets, Model } from "../../src/models/model.ts";
import type { TokenBatch } from "../../src/models/transformer.ts";
import type { NamedTensor } from "../../src/tensor/named-tensors.ts";
import { assertAllClose, largest, norm } from "./all-close.ts";
import type { GradientDigest } from "./tiny-model.ts";

/** The loss of a batch and the gradients of all parameters, frozen ones too, by name. */
export function lossAndGradients(
  model: Model,
  batch: TokenBatch,
  targets: LossTargets,
): { loss: number; gradients: Map<string, Float32Array> } {
  const { engine, store } = model;
  const parameters = store.all();
  for (const { tensor } of parameters) tensor.requiresGrad = true;
  try {
    return engine.step(() => {
      const tape = new Tape(engine);
      const loss = model.loss(tape, batch, targets);
      tape.backward(loss);
      const gradients = new Map<string, Float32Array>();
      for (const { name, tensor } of parameters) {
        const gradient = tape.gradient(tensor);
        if (gradient !== undefined) gradients.set(name, gradient.toHost());
      }
      return { loss: loss.f32[0] as number, gradients };
    });
  } finally {
    for (const { tensor } of parameters) tensor.requiresGrad = false;
  }
}

/** Gradients of the given tensors for one packed batch of sequences, by name; the tensors stay marked. */
export function trainedGradients(
  model: Model,
  parameters: readonly NamedTensor[],
  sequences: readonly Sequence[],
): Map<string, Float32Array> {
  for (const { tensor } of parameters) tensor.requiresGrad = true;
  return model.engine.step(() => {
    const tape = new Tape(model.engine);
    const batch = packBatch(sequences);
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

/**
 * Fails unless every wanted gradient is there and agrees in length, wave and first elements within
 * `tolerance` times its length. What is far shorter than the longest gradient is left over from
 * cancelling, and may be off by that much of a thousandth of the longest.
 */
export function assertGradients(
  gradients: ReadonlyMap<string, Float32Array>,
  wanted: Readonly<Record<string, GradientDigest>>,
  tolerance: number,
): void {
  const floor = largest(Object.values(wanted).map(({ l2 }) => l2)) / 1000;
  for (const [name, { l2, wave, first4 }] of Object.entries(wanted)) {
    const got = gradients.get(name);
    assert.ok(got !== undefined, `no gradient of ${name}`);
    const scale = Math.max(l2, floor);
    const gotWave = got.reduce((sum, value, i) => sum + value * Math.cos(i), 0);
    assertAllClose([norm(got)], [l2], tolerance, `length of the gradient of ${name}`, scale);
    assertAllClose([gotWave], [wave], tolerance, `wave of the gradient of ${name}`, scale);
    assertAllClose(got.subarray(0, 4), first4, tolerance, `gradient of ${name}`, scale);
  }
}
