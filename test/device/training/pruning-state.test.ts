/** The record of a device's pruning: what comes back from it, and when it counts as none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fullStructure, type Structure } from "../../../src/base/structure.ts";
import { freshGuard } from "../../../src/device/training/guard.ts";
import {
  decodePruningState,
  encodePruningState,
  type PruningState,
} from "../../../src/device/training/pruning-state.ts";
import { encodeSafetensors } from "../../../src/io/safetensors-writer.ts";
import { ScoreKeeper } from "../../../src/pruning/keeper.ts";
import { scoresOf } from "../../../src/pruning/unit-scores.ts";

const counts = { layers: 2, heads: 2, ffn: 5 };
const key = { run: "run-1", base: "base-1", score: "fisher" };
const structure: Structure = {
  layers: [
    { heads: [1], ffn: [0, 4] },
    { heads: [0, 1], ffn: [2] },
  ],
};

function state(): PruningState {
  const keeper = new ScoreKeeper(counts);
  const scores = scoresOf(counts, (layer, kind, id) => 0.1 * (layer + id) + kind.length);
  keeper.update(scores, fullStructure(counts), 0.9);
  keeper.update(scores, structure, 0.9);
  return { structure, keeper, guard: { lossBeforePruning: 0.7, hasSkipped: true } };
}

function assertNone(bytes: Uint8Array | null, otherKey = key, otherCounts = counts): void {
  const read = decodePruningState(bytes, otherKey, otherCounts);
  assert.equal(read.structure, null);
  assert.deepEqual(read.guard, freshGuard);
  assert.ok(!read.keeper.knows(structure));
}

test("a record gives back structure, averages and guard as they were", () => {
  const before = state();
  const after = decodePruningState(encodePruningState(before, key, counts), key, counts);
  assert.deepEqual(after.structure, structure);
  assert.deepEqual(after.guard, before.guard);
  assert.deepEqual(after.keeper.export(), before.keeper.export());
});

test("without a structure there is none in it", () => {
  const bytes = encodePruningState({ ...state(), structure: null }, key, counts);
  assert.equal(decodePruningState(bytes, key, counts).structure, null);
});

test("a record of another run, base, score or model counts as none", () => {
  const bytes = encodePruningState(state(), key, counts);
  assertNone(null);
  assertNone(bytes, { ...key, run: "run-2" });
  assertNone(bytes, { ...key, base: "base-2" });
  assertNone(bytes, { ...key, score: "random" });
  assertNone(bytes, key, { ...counts, ffn: 6 });
});

test("a damaged record counts as none", () => {
  const { keeper } = state();
  const bytes = encodePruningState(state(), key, counts);
  const keyText = JSON.stringify([key.run, key.base, key.score]);
  for (const damaged of [
    new Uint8Array(),
    bytes.subarray(0, bytes.length - 1),
    encodeSafetensors(new Map(), { metadata: { key: keyText, guard: "{}" } }),
    encodeSafetensors(keeper.export(), { metadata: { key: keyText } }),
    encodeSafetensors(keeper.export(), { metadata: { key: keyText, guard: "{" } }),
    encodeSafetensors(keeper.export(), {
      metadata: { key: keyText, guard: JSON.stringify(freshGuard), structure: "0.0,0.0" },
    }),
  ]) {
    assertNone(damaged);
  }
});
