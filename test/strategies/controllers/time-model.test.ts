/** The learnt time law: it finds speed and link, follows power modes at once and forgives one odd round. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../../src/base/errors.ts";
import type { Choice, Outcome } from "../../../src/strategies/controllers/controller.ts";
import { roundTime, TimeModel } from "../../../src/strategies/controllers/time-model.ts";
import type { TimeLaw } from "../../../src/strategies/controllers/time-model.ts";

const cost = ({ sparsity, rank }: Choice) => ({
  ...{ gflopsPerStep: 100 * (1 - sparsity), memoryBytes: 1e8 },
  ...{ bytesUp: 125_000 * rank, bytesDown: 250_000 * rank },
});
const choice = { sparsity: 0.5, rank: 8 };

/** A round of 20 steps by a device of the given seconds per GFLOP, with 4 Mb/s up, 16 Mb/s down and 3 s besides its steps. */
function outcome(device: string, secondsPerGflop: number): Outcome {
  const { gflopsPerStep, bytesUp, bytesDown } = cost(choice);
  const stepMs = 1000 * secondsPerGflop * gflopsPerStep;
  const times = {
    ...{ stepMs, trainMs: 20 * stepMs + 3000, steps: 20 },
    ...{ uploadMs: (8 * bytesUp) / 4000, downloadMs: (8 * bytesDown) / 16000 },
  };
  const result = {
    ...{ ...times, bytesUp, bytesDown, lossFirst: 2, lossLast: 1, heldOutLoss: null },
    ...{ sparsityBefore: 0.5, sparsity: 0.5, importance: 1, numSamples: 10 },
    completionMs: times.trainMs + times.uploadMs + times.downloadMs,
  };
  return { device, choice, cost: cost(choice), result };
}

function modelOf(...rounds: readonly (readonly [device: string, secondsPerGflop: number])[]) {
  const model = new TimeModel();
  for (const [device, speed] of rounds) model.learn(outcome(device, speed), device.slice(0, 2));
  return model;
}

function lawOf(model: TimeModel, id: string): TimeLaw {
  const law = model.laws()(id, id.slice(0, 2));
  assert.ok(law !== null);
  return law;
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 0.02, `${actual} is not about ${expected}`);
}

test("a measured device is predicted for choices that it never had", () => {
  const law = lawOf(modelOf(["nx-1", 0.01], ["nx-1", 0.01]), "nx-1");
  const { compute, transfer } = roundTime(law, { cost }, { sparsity: 0, rank: 16 }, 20);
  near(compute, 3 + 20 * 100 * 0.01);
  // Links are taken to fluctuate until they have shown that they do not.
  assert.ok(transfer > 16 / 4 + 32 / 16 && transfer < 1.2 * (16 / 4 + 32 / 16));
});

/** Rounds of four devices whose links are so many times slower than 4 Mb/s up, in turn. */
function linkModel(numRounds: number, slowness: (device: number, round: number) => number) {
  const model = new TimeModel();
  for (let round = 0; round < numRounds; round++) {
    for (let device = 0; device < 4; device++) {
      const told = outcome(`nx-${device}`, 0.01);
      const { result } = told;
      assert.ok(result !== null);
      const uploadMs = result.uploadMs * slowness(device, round);
      model.learn({ ...told, result: { ...result, uploadMs } }, "nx");
    }
  }
  return model;
}

test("where links differ between devices, each is soon taken for what it is", () => {
  const model = linkModel(3, (device) => 4 ** device);
  for (const [device, mbps] of [4, 1, 1 / 4, 1 / 16].entries()) {
    const { up } = lawOf(model, `nx-${device}`);
    assert.ok(Math.abs((up?.mean ?? 0) + Math.log(mbps)) < 0.2);
  }
  const unknown = lawOf(model, "nx-9").up;
  assert.ok((unknown?.spread ?? 0) > 1);
});

test("where links differ from round to round, all are taken for the same", () => {
  const model = linkModel(20, (device, round) => 4 ** ((device + round) % 4));
  const means = [0, 1, 2, 3].map((device) => lawOf(model, `nx-${device}`).up?.mean ?? NaN);
  assert.ok(Math.max(...means) - Math.min(...means) < 0.2);
  assert.ok((lawOf(model, "nx-0").up?.spread ?? 0) > 1);
});

test("nobody is predicted before somebody is measured", () => {
  assert.equal(new TimeModel().laws()("nx-1", "nx"), null);
});

test("an unmeasured device is taken for the median of its type, or of the fleet", () => {
  const model = modelOf(["nx-1", 0.01], ["nx-2", 0.02], ["nx-3", 0.08], ["tx-1", 0.5]);
  const [alike, other] = [lawOf(model, "nx-9"), lawOf(model, "ag-9")];
  near(alike.secondsPerGflop, 0.02);
  assert.equal(alike.source, "type");
  assert.equal(other.source, "fleet");
  assert.ok(alike.computeSpread >= 0.3);
});

test("another power mode is believed at once, and one odd round is forgotten as fast", () => {
  const steady = Array.from({ length: 10 }, () => ["nx-1", 0.01] as const);
  near(lawOf(modelOf(...steady, ["nx-1", 0.03]), "nx-1").secondsPerGflop, 0.03);
  near(lawOf(modelOf(...steady, ["nx-1", 0.03], ["nx-1", 0.01]), "nx-1").secondsPerGflop, 0.01);
});

test("small changes are averaged", () => {
  const rounds = [0.01, 0.011, 0.009, 0.0105, 0.0095].map((speed) => ["nx-1", speed] as const);
  const { secondsPerGflop, computeSpread } = lawOf(modelOf(...rounds), "nx-1");
  assert.ok(secondsPerGflop > 0.0095 && secondsPerGflop < 0.0105);
  assert.ok(computeSpread > 0.02 && computeSpread < 0.15);
});

test("missed rounds make a cautious prediction slower until the next update", () => {
  const model = modelOf(["nx-1", 0.01]);
  const seconds = (caution: number) =>
    roundTime(lawOf(model, "nx-1"), { cost }, choice, 20, caution).total;
  const before = { bold: seconds(0), cautious: seconds(1) };
  model.learn({ ...outcome("nx-1", 1), result: null }, "nx");
  assert.equal(seconds(0), before.bold);
  assert.ok(seconds(1) > 1.1 * before.cautious);
  model.learn(outcome("nx-1", 0.01), "nx");
  assert.ok(seconds(1) <= before.cautious);
});

test("a state that was not saved by a time model is refused", () => {
  assert.throws(() => new TimeModel().restore([["nx-1", { type: "nx" }]], "times"), ConfigError);
});
