/** Every operation's backward against central differences of its forward. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { activation, activations, type ActivationName } from "../../src/autograd/ops/activation.ts";
import { add } from "../../src/autograd/ops/add.ts";
import { attention, type AttentionShape } from "../../src/autograd/ops/attention.ts";
import { crossEntropy, IGNORED_LABEL } from "../../src/autograd/ops/cross-entropy.ts";
import { dropout } from "../../src/autograd/ops/dropout.ts";
import { gatherRows } from "../../src/autograd/ops/gather-rows.ts";
import { layerNorm } from "../../src/autograd/ops/layer-norm.ts";
import { linear } from "../../src/autograd/ops/linear.ts";
import { loraLinear } from "../../src/autograd/ops/lora-linear.ts";
import { meanPool } from "../../src/autograd/ops/mean-pool.ts";
import { rmsNorm } from "../../src/autograd/ops/rms-norm.ts";
import { rope, ropeTables } from "../../src/autograd/ops/rope.ts";
import { siluMul } from "../../src/autograd/ops/silu-mul.ts";
import { vocabularyLoss } from "../../src/autograd/ops/vocabulary-loss.ts";
import { Tape } from "../../src/autograd/tape.ts";
import { Rng } from "../../src/base/rng.ts";
import type { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { checkGradients, type GradCheck } from "../support/grad-check.ts";

type Inputs = readonly Tensor[];
const at = (inputs: Inputs, i: number): Tensor => inputs[i] as Tensor;
const withDropout = (engine: Engine): Tape => new Tape(engine, { rng: Rng.fromSeed(9) });

const attend =
  (shape: AttentionShape, offsets: readonly number[]): GradCheck["compute"] =>
  (tape, inputs) =>
    attention(
      tape,
      at(inputs, 0),
      at(inputs, 1),
      at(inputs, 2),
      tape.engine.integers(offsets),
      shape,
    );

/** One list for all operations, by file name: the last test checks that none is missing. */
const cases: Record<string, GradCheck[]> = {
  add: [
    {
      shapes: [
        [3, 5],
        [3, 5],
      ],
      compute: (t, x) => add(t, at(x, 0), at(x, 1)),
    },
    // One tensor used twice: its gradients must add up without touching each other's memory.
    {
      shapes: [[2, 7]],
      compute: (t, x) => add(t, at(x, 0), activation(t, add(t, at(x, 0), at(x, 0)), "tanh")),
    },
  ],
  activation: (Object.keys(activations) as ActivationName[]).map((name) => ({
    shapes: [[3, 7]],
    kinkMargin: name === "relu" ? 0.05 : 0,
    compute: (t, x) => activation(t, at(x, 0), name),
  })),
  "silu-mul": [
    {
      shapes: [
        [3, 7],
        [3, 7],
      ],
      compute: (t, x) => siluMul(t, at(x, 0), at(x, 1)),
    },
  ],
  linear: [
    {
      shapes: [[5, 7], [3, 7], [3]],
      compute: (t, x) => linear(t, at(x, 0), at(x, 1), at(x, 2)),
    },
    {
      shapes: [
        [1, 9],
        [4, 9],
      ],
      compute: (t, x) => linear(t, at(x, 0), at(x, 1), null),
    },
  ],
  "lora-linear": [
    {
      shapes: [[5, 7], [4, 7], [4], [2, 7], [4, 2]],
      compute: (t, x) =>
        loraLinear(t, at(x, 0), at(x, 1), at(x, 2), {
          a: at(x, 3),
          b: at(x, 4),
          scale: 1.5,
          dropout: 0,
        }),
    },
    {
      shapes: [
        [5, 7],
        [4, 7],
        [2, 7],
        [4, 2],
      ],
      makeTape: withDropout,
      compute: (t, x) =>
        loraLinear(t, at(x, 0), at(x, 1), null, {
          a: at(x, 2),
          b: at(x, 3),
          scale: 0.5,
          dropout: 0.4,
        }),
    },
  ],
  dropout: [
    { shapes: [[4, 9]], makeTape: withDropout, compute: (t, x) => dropout(t, at(x, 0), 0.3) },
  ],
  "layer-norm": [
    {
      shapes: [[4, 7], [7], [7]],
      compute: (t, x) => layerNorm(t, at(x, 0), at(x, 1), at(x, 2), 1e-5),
    },
  ],
  "rms-norm": [{ shapes: [[4, 7], [7]], compute: (t, x) => rmsNorm(t, at(x, 0), at(x, 1), 1e-5) }],
  attention: [
    {
      shapes: [
        [8, 6],
        [8, 6],
        [8, 6],
      ],
      compute: attend({ H: 2, G: 2, D: 3, longest: 5, causal: false }, [0, 5, 8]),
    },
    {
      shapes: [
        [6, 12],
        [6, 6],
        [6, 6],
      ],
      compute: attend({ H: 4, G: 2, D: 3, longest: 4, causal: true }, [0, 4, 6]),
    },
    // More than a block of queries and of keys, in both directions.
    ...[false, true].map((causal) => ({
      shapes: [
        [67, 4],
        [67, 2],
        [67, 2],
      ],
      compute: attend({ H: 2, G: 1, D: 2, longest: 66, causal }, [0, 1, 67]),
    })),
    {
      shapes: [
        [9, 9],
        [9, 9],
        [9, 9],
      ],
      compute: attend({ H: 1, G: 1, D: 9, longest: 9, causal: true }, [0, 0, 9]),
    },
    {
      shapes: [
        [1, 5],
        [1, 5],
        [1, 5],
      ],
      compute: attend({ H: 1, G: 1, D: 5, longest: 1, causal: true }, [0, 1]),
    },
  ],
  rope: [
    {
      shapes: [[3, 8]],
      compute: (t, x) =>
        rope(t, at(x, 0), ropeTables(t.engine, 6, 4, 100), t.engine.integers([0, 2, 5]), 2),
    },
  ],
  "gather-rows": [{ shapes: [[5, 3]], compute: (t, x) => gatherRows(t, at(x, 0), [4, 0, 4, 2]) }],
  "mean-pool": [
    { shapes: [[4, 3]], compute: (t, x) => meanPool(t, at(x, 0), t.engine.integers([0, 3, 4])) },
  ],
  "cross-entropy": [
    { shapes: [[4, 5]], compute: (t, x) => crossEntropy(t, at(x, 0), [0, 4, IGNORED_LABEL, 2]) },
    { shapes: [[2, 3]], compute: (t, x) => crossEntropy(t, at(x, 0), [IGNORED_LABEL, 1]) },
  ],
  "vocabulary-loss": [
    {
      shapes: [[4, 3], [5, 3], [5]],
      compute: (t, x) => vocabularyLoss(t, at(x, 0), at(x, 1), at(x, 2), [0, 4, IGNORED_LABEL, 2]),
    },
    // A table that is the embedding as well, and a loss that is used twice.
    {
      shapes: [[5, 3]],
      compute: (t, x) => {
        const hidden = gatherRows(t, at(x, 0), [1, 4, 1]);
        const loss = vocabularyLoss(t, hidden, at(x, 0), null, [3, 0, IGNORED_LABEL]);
        return add(t, loss, add(t, loss, loss));
      },
    },
  ],
};

for (const [name, checks] of Object.entries(cases)) {
  checks.forEach((check, i) => {
    test(`the gradient of ${name} (case ${i + 1}) equals central differences`, () => {
      checkGradients(check);
    });
  });
}

test("every operation file has a gradient check", () => {
  const files = readdirSync("src/autograd/ops").map((file) => file.replace(/\.ts$/, ""));
  assert.deepEqual(files.sort(), Object.keys(cases).sort());
});

test("the tape leaves tensors alone that no one asked to differentiate", () => {
  checkGradients({
    shapes: [[3, 4]],
    compute(tape, inputs) {
      const frozen = tape.engine.zeros([2, 4]);
      const out = linear(tape, at(inputs, 0), frozen, null);
      assert.equal(tape.tracks(frozen), false);
      return out;
    },
  });
});
