/** The trimmed mean: the promises of every rule and of every robust one, and what is trimmed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { trimmedMean } from "../../../src/strategies/aggregation/trimmed-mean.ts";
import { HEAD, randomUpdate } from "../../support/adapters.ts";
import { robustSuite } from "../../support/robust-suite.ts";

robustSuite(trimmedMean);

test("of five values the largest and the smallest are left out, of two none", () => {
  const of = (...values: number[]): number | undefined => {
    const updates = values.map((value, i) => {
      const update = randomUpdate(Rng.fromSeed(1), `device-${i}`, 2);
      update.heads.get(HEAD.name)?.data.fill(value);
      return update;
    });
    const { state } = trimmedMean.aggregate(updates, { rank: 2, scale: 2 });
    return state.heads.get(HEAD.name)?.data[0];
  };
  assert.equal(of(7, -1e6, 5, 1e6, 3), 5);
  assert.equal(of(1, 2), 1.5);
});
