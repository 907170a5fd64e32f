/** Whole simulations with the real engine: the same bits however they are played, and devices that come and go. */
import { test } from "node:test";
import assert from "node:assert/strict";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import type { SimulationConfigInput } from "../../src/simulation/config.ts";
import { SmallSimulation } from "../support/small-simulation.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const PRUNED = {
  rounds: 4,
  pruning: { final: 0.4, warmupShare: 0, cooldownShare: 0.25, maxStep: 0.5 },
  controller: { kind: "s-ucb" },
};

test("a simulation gives the same bits with one worker and with two", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), { coordinator: PRUNED });
  const alone = await simulation.run("alone", { workers: 1 });
  const pair = await simulation.run("pair", { workers: 2 });
  assert.equal(alone.summary.ok, true, alone.summary.reason);
  assert.equal(pair.events.length, alone.events.length);
  assert.deepEqual(simulation.leftovers("pair"), simulation.leftovers("alone"));
});

test("an interrupted simulation ends with the bits of one that was left alone", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), {
    coordinator: PRUNED,
    baseInstalled: false,
  });
  const whole = await simulation.run("whole");
  const inRound = simulation.run("broken", {
    interruptAt: ({ kind, ...event }) =>
      kind === "update-received" && "round" in event && event.round === 3,
  });
  await assert.rejects(inRound, /interrupted/);
  const rest = await simulation.run("broken", { resume: true });
  assert.deepEqual(rest.summary, whole.summary);
  assert.deepEqual(simulation.leftovers("broken"), simulation.leftovers("whole"));
});

test("a simulation that was interrupted in its first round begins anew", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), { coordinator: { rounds: 2 } });
  await simulation.run("whole");
  const interruptAt = ({ kind }: RunEvent): boolean => kind === "update-received";
  await assert.rejects(simulation.run("broken", { interruptAt }), /interrupted/);
  await simulation.run("broken", { resume: true });
  assert.deepEqual(simulation.leftovers("broken"), simulation.leftovers("whole"));
});

test("devices that vanish or are off now and then cost updates, and no more", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), {
    fleet: {
      profile: "gateways",
      devices: 6,
      overrides: {
        dropoutProbability: 0.4,
        dutyCycle: { onShare: 0.6, periodSeconds: 600 },
        secondsPerGflop: 5000,
      },
    },
    coordinator: { rounds: 5, quorum: 0.1, maxAttempts: 20 },
  });
  const { summary, events } = await simulation.run("unsteady");
  assert.equal(summary.ok, true, summary.reason);
  const left = events.flatMap((event) =>
    event.kind === "device-left" && event.reason === "cut-off" ? [event.device] : [],
  );
  assert.ok(left.length > 0);
  const counts = events.flatMap((event) =>
    event.kind === "aggregated" ? [event.devices.length] : [],
  );
  assert.equal(counts.length, 5);
  assert.ok(Math.min(...counts) < 6, counts.join());
});

test("the fleet's own base is fetched once, and counts", async (t) => {
  const folder = temporaryFolder(t);
  const fetched = new SmallSimulation(folder, { baseInstalled: false });
  const { summary, events } = await fetched.run("fetched");
  assert.equal(summary.ok, true, summary.reason);
  const joined = events.filter(({ kind }) => kind === "device-joined");
  assert.ok(joined.every((event) => event.kind === "device-joined" && !event.hasBase));
  const received = events.flatMap((event) =>
    event.kind === "update-received" ? [{ round: event.round, bytes: event.bytesDown }] : [],
  );
  const inRound = (round: number): number[] =>
    received.filter((each) => each.round === round).map(({ bytes }) => bytes);
  assert.ok(Math.min(...inRound(1)) > Math.max(...inRound(2)));
});

test("a folder that holds a run is not written over, and one without is not resumed", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), { coordinator: { rounds: 1 } });
  await assert.rejects(simulation.run("new", { resume: true }), /does not hold this simulation/);
  await simulation.run("old");
  await assert.rejects(simulation.run("old"), /holds a run already/);
  await assert.rejects(simulation.run("old", { resume: true }), /all 1 rounds are done/);
});

test("emulating a larger model changes times and nothing that is learnt", async (t) => {
  const folder = temporaryFolder(t);
  const own = new SmallSimulation(folder);
  const large = new SmallSimulation(folder, {
    emulate: { gflopsPerStep: 100, updateBytes: 1_000_000 },
  });
  const [small, big] = [await own.run("own"), await large.run("large")];
  const adapter = "adapter-round-3.safetensors";
  assert.equal(large.leftovers("large")[adapter], own.leftovers("own")[adapter]);
  assert.ok(big.summary.durationMs > 10 * small.summary.durationMs);
  assert.equal(big.summary.total.gflops.toFixed(9), small.summary.total.gflops.toFixed(9));
});

test("in the end every device is pruned to the final sparsity and scored, whether or not it took part", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), {
    participation: { count: 2 },
    coordinator: { ...PRUNED, rounds: 2, controller: { kind: "fixed" } },
  });
  const { summary } = await simulation.run("few", { workers: 2 });
  assert.equal(summary.ok, true, summary.reason);
  assert.ok(summary.devices.some(({ rounds }) => rounds === 0));
  assert.equal(summary.final?.numDevices, 5);
  const finals = summary.devices.flatMap(({ final }) => final ?? []);
  assert.equal(finals.length, 5);
  for (const { sparsity } of finals) assert.ok(Math.abs(sparsity - 0.4) < 0.05, `${sparsity}`);
  const lowest = Math.min(...finals.map(({ accuracy }) => accuracy));
  assert.equal(summary.final.worst.accuracy, lowest);
  assert.ok(summary.final.accuracy >= lowest);
});

const SLEEPY = {
  fleet: {
    profile: "gateways",
    devices: 6,
    overrides: { dutyCycle: { onShare: 0.6, periodSeconds: 200 }, secondsPerGflop: [5000, 50_000] },
  },
  coordinator: { rounds: 6, mode: { kind: "buffered", size: 3, maxStaleness: 4 } },
} satisfies Partial<SimulationConfigInput>;

test("without rounds that wait, sleeping devices deliver when they are on, and the bits are the same for any workers", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), SLEEPY);
  const { summary, events } = await simulation.run("alone", { workers: 1 });
  assert.equal(summary.ok, true, summary.reason);
  assert.equal(summary.perRound.length, 6);
  const merged = events.filter((event) => event.kind === "aggregated");
  assert.ok(merged.some(({ maxStaleness }) => maxStaleness > 0));
  assert.ok(events.some((event) => event.kind === "device-left" && event.reason === "cut-off"));
  const gflops = summary.perRound.reduce((sum, round) => sum + round.gflops, 0);
  assert.ok(gflops > 0 && gflops <= summary.total.gflops * 1.000001);
  await simulation.run("pair", { workers: 2 });
  assert.deepEqual(simulation.leftovers("pair"), simulation.leftovers("alone"));
});

test("such a run is played anew when it was interrupted, to the same end", async (t) => {
  const simulation = new SmallSimulation(temporaryFolder(t), SLEEPY);
  await simulation.run("whole");
  const broken = simulation.run("broken", {
    interruptAt: (event) => event.kind === "checkpoint" && event.round === 3,
  });
  await assert.rejects(broken, /interrupted/);
  await simulation.run("broken", { resume: true });
  assert.deepEqual(simulation.leftovers("broken"), simulation.leftovers("whole"));
});
