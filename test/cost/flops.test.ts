/** Counted operations against the products that the engine really runs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernels } from "../../src/backend/kernels.ts";
import { stepFlops } from "../../src/cost/flops.ts";
import { Engine } from "../../src/tensor/engine.ts";
import {
  countedModel,
  countedModels,
  countedSetups,
  countedStructures,
  trainOnce,
} from "../support/counted-steps.ts";
import { must } from "../support/must.ts";

for (const [name, kind] of Object.entries(countedModels)) {
  test(`${name}: a step runs exactly the counted operations`, () => {
    for (const structureOf of countedStructures) {
      const { engine, done } = countingEngine();
      const model = countedModel(engine, kind, structureOf);
      for (const setup of countedSetups(model)) {
        done.flops = 0;
        trainOnce(model, setup);
        const { forward, backward } = stepFlops(model.shape, setup);
        const { structure: _, ...rest } = setup;
        assert.equal(forward + backward, done.flops, JSON.stringify(rest));
      }
    }
  });
}

/** An engine whose products add up what they compute. */
function countingEngine(): { engine: Engine; done: { flops: number } } {
  const engine = Engine.create();
  const { kernels } = engine;
  const done = { flops: 0 };
  const product =
    (run: Kernels["matmulNnF32"]): Kernels["matmulNnF32"] =>
    (...args) => {
      const [, , , , M, N, K] = args;
      done.flops += 2 * M * N * K;
      run(...args);
    };
  const counting: Kernels = {
    ...kernels,
    matmulNnF32: product(kernels.matmulNnF32),
    matmulNtF32: product(kernels.matmulNtF32),
    matmulTnF32: product(kernels.matmulTnF32),
    affineF32(...args) {
      const [, , , , , M, N, K] = args;
      done.flops += 2 * M * N * K;
      kernels.affineF32(...args);
    },
    attentionF32(...args) {
      done.flops += 2 * attentionProduct(engine, args[5], args.slice(7));
      kernels.attentionF32(...args);
    },
    attentionBackwardF32(...args) {
      done.flops += 5 * attentionProduct(engine, args[9], args.slice(11));
      kernels.attentionBackwardF32(...args);
    },
  };
  Object.defineProperty(engine, "kernels", { value: counting });
  return { engine, done };
}

/** Operations of one product of all queries with all keys of their sequence: 2 T² D for each head. */
function attentionProduct(engine: Engine, offsets: number, sizes: readonly number[]): number {
  const [B, , heads, group, , D] = sizes as [number, number, number, number, number, number];
  const starts = new Int32Array(engine.arena.memory.buffer, offsets, B + 1);
  return starts
    .subarray(1)
    .reduce((sum, end, b) => sum + 2 * heads * group * D * (end - must(starts[b])) ** 2, 0);
}
