/** What the formulas say about memory against what the engine really held. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { trainingMemory } from "../../src/cost/memory.ts";
import { attentionScratchBytes, matmulScratchBytes } from "../../src/cost/scratch.ts";
import { Engine } from "../../src/tensor/engine.ts";
import {
  countedModel,
  countedModels,
  countedSetups,
  countedStructures,
  trainOnce,
} from "../support/counted-steps.ts";

for (const [name, kind] of Object.entries(countedModels)) {
  test(`${name}: a step takes the counted memory, or up to a tenth less`, () => {
    for (const structureOf of countedStructures) {
      const model = countedModel(Engine.create(), kind, structureOf);
      for (const setup of countedSetups(model)) {
        const counted = trainingMemory(model.shape, setup);
        const held = trainOnce(model, setup);
        for (const region of ["weights", "state", "step", "peak"] as const) {
          const ratio = counted[region] / held[region];
          const { structure: _, ...rest } = setup;
          const text = `${region}: counted ${counted[region]}, held ${held[region]}`;
          assert.ok(ratio > 0.99 && ratio < 1.1, `${JSON.stringify(rest)}: ${text}`);
        }
      }
    }
  });
}

test("scratch is counted as the kernels count it", () => {
  const { kernels } = Engine.create();
  for (const M of [1, 7, 60, 300]) {
    for (const N of [1, 5, 127, 3000]) {
      assert.equal(attentionScratchBytes(M, N), kernels.attentionScratchBytes(M, N));
      for (const K of [1, 12, 255, 700]) {
        assert.equal(matmulScratchBytes(M, N, K), kernels.matmulScratchBytes(M, N, K));
      }
    }
  }
});
