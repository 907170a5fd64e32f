/** Scores of weights that are held in few bits: those of the numbers that they stand for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scorers } from "../../../src/pruning/scores/index.ts";
import type { UnitScores } from "../../../src/pruning/unit-scores.ts";
import { numbersOf } from "../../../src/tensor/storage/storages.ts";
import { must } from "../../support/must.ts";
import { adaptedTinyModel, scoreStep, type ScoredModel } from "../../support/score-step.ts";

const magnitudes = (scored: ScoredModel): UnitScores =>
  scoreStep(scored, scorers.magnitude({ model: scored.model, seed: "none" }));

for (const baseDtype of ["f16", "int8", "int4"] as const) {
  test(`magnitudes of a base in ${baseDtype} are those of its numbers in f32`, () => {
    const held = adaptedTinyModel("bert-classify", { baseDtype });
    const exact = adaptedTinyModel("bert-classify");
    for (const { name, tensor } of held.model.store.all()) {
      must(exact.model.store.get(name)).tensor.f32.set(numbersOf(held.model.engine, tensor));
    }
    assert.deepEqual(magnitudes(held), magnitudes(exact));
  });
}
