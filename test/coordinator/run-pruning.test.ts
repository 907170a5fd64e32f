/** Whole runs in which every device gets its own sparsity and rank: where they end, what is told, and how they go on after a crash. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import type { CoordinatorConfigInput } from "../../src/coordinator/config.ts";
import { deviceHistory } from "../../src/coordinator/device-history.ts";
import { readRunRecord } from "../../src/coordinator/run-journal.ts";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import { aggregators } from "../../src/strategies/aggregation/index.ts";
import { controllers } from "../../src/strategies/controllers/index.ts";
import { seen } from "../support/fleet-checks.ts";
import { Fleet, type RunningCoordinator } from "../support/fleet.ts";
import { must } from "../support/must.ts";

const ROUNDS = 5;
const DEVICES = ["a", "b", "c"];
/** Of the toy model one head is 15 % and one channel 6 %, so that steps of a round are coarse. */
const PRUNING = { final: 0.5, maxStep: 0.2, slack: 0.2 };

function settings(part: Partial<CoordinatorConfigInput> = {}): Partial<CoordinatorConfigInput> {
  return {
    rounds: ROUNDS,
    minDevices: DEVICES.length,
    quorum: 1,
    pruning: PRUNING,
    controller: { kind: "random" },
    ranks: [1, 2, 3],
    ...part,
  };
}

function startDevices(fleet: Fleet): void {
  DEVICES.forEach((id, i) => fleet.device(id, { numSamples: 10 * (i + 1), stepMs: 100 + 50 * i }));
}

type Told<K extends RunEvent["kind"]> = Extract<RunEvent, { kind: K }>;

function told<K extends RunEvent["kind"]>({ events }: RunningCoordinator, kind: K): Told<K>[] {
  return events.filter((event): event is Told<K> => event.kind === kind);
}

async function wholeRun(t: TestContext, part: Partial<CoordinatorConfigInput> = {}) {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator(settings(part));
  startDevices(fleet);
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  return { fleet, coordinator, summary };
}

test("the devices shrink along the schedule and end at the wanted sparsity, faster and smaller than they began", async (t) => {
  const { coordinator, summary } = await wholeRun(t);
  for (const { sparsity, speedUp, firstPeakBytes, lastPeakBytes, rank } of summary.devices) {
    assert.ok(sparsity >= PRUNING.final && sparsity < 0.7, `sparsity ${sparsity}`);
    assert.ok(speedUp > 1.7, `speed-up ${speedUp}`);
    assert.ok(lastPeakBytes < 0.6 * firstPeakBytes);
    assert.ok([1, 2, 3].includes(rank));
  }
  const means = told(coordinator, "aggregated").map(({ meanSparsity }) => meanSparsity);
  assert.deepEqual(
    means,
    means.toSorted((x, y) => x - y),
    "nothing comes back",
  );
  assert.equal(must(told(coordinator, "aggregated")[0]).meanSparsity < 0.3, true);
});

test("events say what was chosen out of what and why, what came of it, and how long everybody waited", async (t) => {
  const { coordinator } = await wholeRun(t);
  const starts = told(coordinator, "round-started");
  assert.equal(starts.length, ROUNDS);
  for (const { round, device, ...decided } of told(coordinator, "controller-decided")) {
    const choice = must(starts[round - 1]).choices[device];
    assert.deepEqual({ sparsity: decided.sparsity, rank: decided.rank }, choice);
    assert.ok(decided.minSparsity <= decided.sparsity && decided.sparsity <= decided.maxSparsity);
    assert.ok(decided.ranks.includes(decided.rank));
    assert.match(decided.reason, /sparsity/);
  }
  for (const update of told(coordinator, "update-received")) {
    const choice = must(must(starts[update.round - 1]).choices[update.device]);
    assert.equal(update.rank, choice.rank);
    assert.ok(update.sparsity >= choice.sparsity);
    assert.ok(update.stepMs > 0 && update.heldOutLoss === 1.5 && update.importance === 0.1);
  }
  const ends = told(coordinator, "round-finished");
  assert.deepEqual(
    ends.map(({ round }) => round),
    [1, 2, 3, 4, 5],
  );
  for (const { durationMs, longestMs, waitingMs } of ends) {
    assert.ok(waitingMs > 0 && waitingMs < longestMs && longestMs <= durationMs + 100);
  }
});

for (const kind of Object.keys(aggregators)) {
  test(`aggregation ${kind} carries a pruned run to its end`, async (t) => {
    const isEqual = must(aggregators[kind]).needsEqualRanks === true;
    const ranks = isEqual ? { ranks: [3], serverRank: 3 } : {};
    const { summary } = await wholeRun(t, { aggregation: { kind }, ...ranks });
    for (const { sparsity } of summary.devices) assert.ok(sparsity >= PRUNING.final);
  });
}

for (const kind of Object.keys(controllers)) {
  test(`controller ${kind} leads a run to its end, inside the limits of every device`, async (t) => {
    const { coordinator, summary } = await wholeRun(t, { controller: { kind } });
    for (const { sparsity } of summary.devices) assert.ok(sparsity >= PRUNING.final);
    for (const decided of told(coordinator, "controller-decided")) {
      const { sparsity, rank, minSparsity, maxSparsity, ranks } = decided;
      assert.ok(sparsity >= minSparsity && sparsity <= maxSparsity && ranks.includes(rank));
    }
  });
}

test("with units that may come back every round is chosen anew from the whole model", async (t) => {
  const reversible = { ...PRUNING, slack: 0.4, isReversible: true };
  const { coordinator, summary } = await wholeRun(t, { pruning: reversible, rounds: 8, seed: 3 });
  for (const { sparsity } of summary.devices) assert.ok(sparsity >= PRUNING.final);
  const updates = told(coordinator, "update-received");
  const hasGrown = ({ round, device, sparsity }: Told<"update-received">): boolean =>
    updates.some(
      (later) => later.device === device && later.round === round + 1 && later.sparsity < sparsity,
    );
  assert.ok(updates.some(hasGrown), "no unit ever came back");
});

/** A run whose coordinator is killed when round 2 is saved, and goes on with another process. */
async function killedRun(t: TestContext, part: Partial<CoordinatorConfigInput> = {}) {
  const fleet = new Fleet(t);
  const first = fleet.coordinator(settings(part), {
    onEvent: (event) => {
      if (event.kind === "round-finished" && event.round === 2) first.kill();
    },
  });
  startDevices(fleet);
  await fleet.until("round 2 is saved", () => seen(first, "round-finished", { round: 2 }));
  const coordinator = fleet.coordinator(settings(part), { resume: true });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  return { fleet, coordinator, summary };
}

test("a run that is killed after a round goes on with the same choices, to the same bits", async (t) => {
  const { fleet: calm } = await wholeRun(t);
  const { fleet, coordinator: resumed } = await killedRun(t);
  // The killed process may have begun the round that the next one went on with.
  const choices = ({ runFolder }: Fleet) =>
    deviceHistory(runFolder, "c").rounds.map(({ decided }) => decided);
  assert.ok(told(resumed, "update-received").some(({ round }) => round === 3));
  assert.deepEqual(choices(fleet), choices(calm));
  const file = `adapter-round-${ROUNDS}.safetensors`;
  const adapterOf = ({ runFolder }: Fleet) => readFileSync(join(runFolder, file));
  assert.deepEqual(adapterOf(fleet), adapterOf(calm));
  const checkpointOf = ({ runFolder }: Fleet): unknown => readRunRecord(runFolder)?.checkpoint;
  assert.ok(checkpointOf(fleet));
  assert.deepEqual(checkpointOf(fleet), checkpointOf(calm));
});

for (const kind of Object.keys(controllers)) {
  test(`controller ${kind} goes on with what it had learnt before its process died`, async (t) => {
    const { fleet, summary } = await killedRun(t, { controller: { kind } });
    for (const { sparsity } of summary.devices) assert.ok(sparsity >= PRUNING.final);
    const { rounds, explanation } = deviceHistory(fleet.runFolder, "c");
    assert.deepEqual(
      rounds.map(({ round }) => round),
      [1, 2, 3, 4, 5],
    );
    assert.match(must(explanation).summary, /round 5/);
  });
}

test("a device for which nothing fits is left out, and one with little room gets what fits", async (t) => {
  const fleet = new Fleet(t);
  const machine = 1e9;
  const coordinator = fleet.coordinator(settings({ memoryReserveBytes: machine }));
  startDevices(fleet);
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, false);
  for (const device of DEVICES) {
    const [excluded, ...more] = told(coordinator, "device-excluded").filter(
      (event) => event.device === device,
    );
    assert.ok(must(excluded).neededBytes > must(excluded).availableBytes);
    assert.equal(more.length, 0, "told once");
  }
});

test("after a round the adapter is scored on pruned models, in the last round on all", async (t) => {
  const fleet = new Fleet(t);
  const scored: string[][] = [];
  const coordinator = fleet.coordinator(settings({ scoredModels: 2 }), {
    evaluate: (_, structures) => {
      scored.push([...structures.keys()]);
      return Promise.resolve({ accuracy: 0.5, loss: 1, macroF1: 0.4 });
    },
  });
  startDevices(fleet);
  assert.equal((await fleet.end(coordinator)).ok, true);
  assert.equal(scored.length, ROUNDS + 1);
  assert.deepEqual(scored[0], [], "nobody is pruned before the first round");
  for (const devices of scored.slice(2, -1)) assert.equal(devices.length, 2);
  assert.deepEqual(scored.at(-1)?.toSorted(), DEVICES);
});

test("the run folder explains every choice of a device, and says so when it does not know the device", async (t) => {
  const { fleet } = await wholeRun(t, { controller: { kind: "s-ucb" } });
  const { rounds, excluded, controller, explanation } = deviceHistory(fleet.runFolder, "b");
  assert.deepEqual([controller, excluded], ["s-ucb", null]);
  assert.deepEqual(
    rounds.map(({ round }) => round),
    [1, 2, 3, 4, 5],
  );
  for (const { decided, received } of rounds) {
    assert.equal(must(received).rank, decided.rank);
    assert.match(decided.reason, /sparsity/);
  }
  assert.match(must(explanation).summary, /round 5/);
  assert.ok(must(explanation).tables.length >= 2);
  assert.throws(() => deviceHistory(fleet.runFolder, "nobody"), /expected a, b, c/);
  assert.throws(() => deviceHistory(join(fleet.folder, "b"), "b"), DataError);
});
