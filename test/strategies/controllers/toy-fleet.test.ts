/** Who wins on the toy fleet of bench/controllers: directions with a margin, not figures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createController } from "../../../src/strategies/controllers/index.ts";
import { play, scenarioNamed, type Play, type Scenario } from "../../../bench/controllers/play.ts";

const seeds = [1, 2];

/** Means over the seeds. */
function means(name: string, scenario: Scenario): Play {
  const plays = seeds.map((seed) => play(createController(name), scenario, seed));
  const mean = (read: (one: Play) => number): number =>
    plays.reduce((sum, one) => sum + read(one), 0) / plays.length;
  return {
    meanRoundS: mean((one) => one.meanRoundS),
    meanWaitingS: mean((one) => one.meanWaitingS),
    finalSparsity: mean((one) => one.finalSparsity),
    meanRank: mean((one) => one.meanRank),
    finalLoss: mean((one) => one.finalLoss),
    secondsToTarget: mean((one) => one.secondsToTarget ?? Infinity),
  };
}

for (const name of ["free, 80 of 80", "free, 10 of 80"]) {
  test(`${name}: prediction beats our bandit, which beats FedMP's, chance and a fixed choice`, () => {
    const scenario = scenarioNamed(name);
    const [sUcb, hybrid] = [means("s-ucb", scenario), means("hybrid", scenario)];
    const roundS = (controller: string): number => means(controller, scenario).meanRoundS;
    for (const beaten of ["fixed", "random", "e-ucb"]) {
      assert.ok(sUcb.meanRoundS < 0.92 * roundS(beaten), `${sUcb.meanRoundS}, ${beaten}`);
    }
    const modelBasedS = roundS("model-based");
    assert.ok(modelBasedS < 0.94 * sUcb.meanRoundS, `${modelBasedS} of ${sUcb.meanRoundS}`);
    assert.ok(hybrid.meanRoundS < 1.03 * modelBasedS, `${hybrid.meanRoundS} of ${modelBasedS}`);
    assert.ok(must(hybrid) < must(sUcb) / 1.3, `${must(hybrid)} of ${must(sUcb)}`);
  });
}

test("on the ramp all end equally sparse, and prediction reaches the target loss first", () => {
  const scenario = scenarioNamed("ramp, 80 of 80");
  const fixed = means("fixed", scenario);
  const modelBased = means("model-based", scenario);
  const hybrid = means("hybrid", scenario);
  for (const { finalSparsity } of [fixed, modelBased, hybrid]) {
    assert.ok(Math.abs(finalSparsity - scenario.final) < 1e-9);
  }
  assert.ok(modelBased.meanRoundS < fixed.meanRoundS);
  assert.ok(must(modelBased) < 0.9 * must(fixed), `${must(modelBased)} of ${must(fixed)}`);
  assert.ok(must(hybrid) < 0.9 * must(fixed), `${must(hybrid)} of ${must(fixed)}`);
});

function must({ secondsToTarget }: Play): number {
  assert.ok(secondsToTarget !== null);
  return secondsToTarget;
}

test("boards with slow links get low ranks, and the round does not wait for their uploads", () => {
  const scenario = scenarioNamed("own links, 10 of 80");
  const modelBased = means("model-based", scenario).meanRoundS;
  assert.ok(modelBased < 0.95 * means("fixed", scenario).meanRoundS);
  assert.ok(modelBased < 0.9 * means("s-ucb", scenario).meanRoundS);
});

test("where high ranks hurt, which no prediction can know, the hybrid finds out", () => {
  const scenario = scenarioNamed("hurtful ranks, 80 of 80");
  assert.ok(must(means("hybrid", scenario)) < 0.85 * must(means("model-based", scenario)));
});

test("a fifth of the updates lost at random takes the lead from no one that predicts", () => {
  const scenario = { ...scenarioNamed("free, 10 of 80"), lossRate: 0.2 };
  const fixed = means("fixed", scenario).meanRoundS;
  for (const name of ["model-based", "hybrid"]) {
    const { meanRoundS } = means(name, scenario);
    assert.ok(meanRoundS < 0.8 * fixed, `${name}: ${meanRoundS} of ${fixed}`);
  }
});
