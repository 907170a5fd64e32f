/** The work of a training step in counts, which repeat on every machine, so that no change can undo a gain unseen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fullStructure, type Structure, type UnitCounts } from "../../src/base/structure.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { countedEngine, type Work } from "../support/counted-engine.ts";
import { countedModel, countedModels } from "../support/counted-steps.ts";
import { must } from "../support/must.ts";

/** 3 layers, 48 wide, 4 heads, 160 channels; B 4, T 16: M = 64 rows. Adapters of rank 4 on query and value. */
const [B, T, rank] = [4, 16, 4] as const;

/** The second step of two: nothing of it is done for the first time. */
function workOfStep(structureOf: (counts: UnitCounts) => Structure): Work {
  const { engine, work, reset } = countedEngine();
  const model = countedModel(engine, must(countedModels["encoder with mean pooling"]), structureOf);
  const adapted = AdaptedModel.attach(model, {
    lora: { rank, alpha: rank, targets: ["query", "value"], dropout: 0 },
    trainHead: true,
    seed: 1,
  });
  const sequence = { ids: Array.from({ length: T }, (_, i) => i), label: 0 };
  const tuner = new FineTuner(
    model,
    adapted.parameters(),
    Array.from({ length: 2 * B }, () => sequence),
    { ...FINE_TUNE_DEFAULTS, steps: 2, batchSize: B },
  );
  tuner.step();
  reset();
  tuner.step();
  return structuredClone(work);
}

/** Every other head and channel. */
function halfStructure(counts: UnitCounts): Structure {
  const { layers } = fullStructure(counts);
  const half = (ids: readonly number[]): number[] => ids.filter((id) => id % 2 === 0);
  return { layers: layers.map(({ heads, ffn }) => ({ heads: half(heads), ffn: half(ffn) })) };
}

test("a step of a small encoder does this work and no more", () => {
  const { calls, multiplyAdds, operandBytes, allocations, copiedBytes } = workOfStep(fullStructure);
  const products = Object.entries(calls).filter(([name]) => /^(matmul|affine)/.test(name));
  assert.deepEqual(Object.fromEntries(products), {
    affineF32: 19,
    matmulNnF32: 26,
    matmulNtF32: 12,
    matmulTnF32: 13,
  });
  assert.equal(multiplyAdds, 9414336);
  assert.equal(operandBytes, 1476832);
  const numCalls = Object.values(calls).reduce((sum, count) => sum + count, 0);
  assert.ok(numCalls <= 178, `${numCalls} calls: ${JSON.stringify(calls)}`);
  assert.ok(allocations <= 210, `${allocations} allocations`);
  // Token ids, positions, types, lengths and labels.
  assert.ok(copiedBytes <= 1080, `${copiedBytes} bytes copied`);
});

test("a step of the encoder with half its units does half the products", () => {
  const [whole, half] = [workOfStep(fullStructure), workOfStep(halfStructure)];
  assert.deepEqual(half.calls, whole.calls);
  assert.equal(half.allocations, whole.allocations);
  assert.equal(half.multiplyAdds, 4806336);
  assert.equal(half.operandBytes, 939232);
});
