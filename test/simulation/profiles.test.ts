/** Simulated fleets: shares, draws by seed, overrides, duty cycles. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { parseFleetProfile } from "../../src/simulation/fleet-schema.ts";
import { builtInFleet } from "../../src/simulation/config.ts";
import { drawConditions, drawFleet, dutyAt } from "../../src/simulation/profiles.ts";

const NO_FACTORS = { training: 1, transfer: 1 };

function countsOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

test("a fleet of any size has the profile's shares of boards and of links", () => {
  const profile = builtInFleet("jetson-80");
  for (const factor of [1, 3]) {
    const fleet = drawFleet(profile, 80 * factor, {}, 1);
    assert.deepEqual(countsOf(fleet.map(({ board }) => board.type)), {
      "jetson-tx2": 30 * factor,
      "jetson-nx": 40 * factor,
      "jetson-agx": 10 * factor,
    });
    const links = Object.values(countsOf(fleet.map(({ link }) => link.name)));
    assert.deepEqual(links, Array(4).fill(20 * factor));
  }
  const odd = drawFleet(profile, 7, {}, 1);
  assert.equal(odd.length, 7);
  assert.equal(new Set(odd.map(({ id }) => id)).size, 7);
});

test("a Jetson step of RoBERTa-base takes as long as the profile's source says", () => {
  const stepSeconds = { "jetson-tx2": [4, 16], "jetson-nx": [1, 6], "jetson-agx": [0.25, 2.5] };
  for (const { board, secondsPerGflop } of drawFleet(builtInFleet("jetson-80"), 80, {}, 5)) {
    const [low = 0, high = 0] = stepSeconds[board.type as keyof typeof stepSeconds];
    const seconds = 700 * secondsPerGflop;
    assert.ok(seconds >= low && seconds <= high, `${board.type}: ${seconds}`);
  }
});

test("speeds are drawn per device, bandwidths per round, modes per period; all by the seed", () => {
  const fleet = drawFleet(builtInFleet("jetson-80"), 80, { jitter: 0 }, 3);
  assert.deepEqual(drawFleet(builtInFleet("jetson-80"), 80, { jitter: 0 }, 3), fleet);
  assert.equal(new Set(fleet.map(({ secondsPerGflop }) => secondsPerGflop)).size, 80);
  const rounds = Array.from({ length: 40 }, (_, i) => i + 1);
  const modes = new Set<number>();
  for (const machine of fleet.slice(0, 20)) {
    const draws = rounds.map((round) => drawConditions(machine, round, 3, NO_FACTORS));
    assert.equal(new Set(draws.map(({ upBytesPerSecond }) => upBytesPerSecond)).size, 40);
    const factors = draws.map(({ secondsPerGflop }) => secondsPerGflop / machine.secondsPerGflop);
    assert.equal(new Set(factors.slice(0, 20)).size, 1);
    assert.equal(new Set(factors.slice(20)).size, 1);
    for (const factor of factors) modes.add(Math.round(10 * factor) / 10);
    const bits = draws.map(({ downBytesPerSecond }) => 8 * downBytesPerSecond);
    assert.ok(Math.min(...bits) >= 1e6 && Math.max(...bits) <= 30e6);
  }
  assert.deepEqual([...modes].sort(), [1, 1.5, 2, 3]);
});

test("overrides hold for every device, and emulation stretches times alone", () => {
  const overrides = {
    jitter: 0,
    secondsPerGflop: 2,
    upMegabitsPerSecond: 8,
    dropoutProbability: 1,
    memoryBytes: 5,
  };
  const [machine] = drawFleet(builtInFleet("gateways"), 3, overrides, 1);
  assert.ok(machine !== undefined);
  assert.equal(machine.board.memoryBytes, 5);
  const plain = drawConditions(machine, 1, 1, NO_FACTORS);
  assert.equal(plain.secondsPerGflop, 2);
  assert.equal(plain.upBytesPerSecond, 1e6);
  assert.ok(plain.vanishesAt !== null && plain.vanishesAt >= 0 && plain.vanishesAt < 1);
  const slow = drawConditions(machine, 1, 1, { training: 10, transfer: 4 });
  assert.equal(slow.secondsPerGflop, 20);
  assert.equal(slow.upBytesPerSecond, 250_000);
  assert.equal(slow.latencyMs, plain.latencyMs);
});

test("jitter is a factor around one whose logarithm has the given deviation", () => {
  const [machine] = drawFleet(builtInFleet("gateways"), 1, { jitter: 0.2 }, 1);
  assert.ok(machine !== undefined);
  const logs = Array.from({ length: 2000 }, (_, round) => {
    const { secondsPerGflop } = drawConditions(machine, round + 1, 1, NO_FACTORS);
    return Math.log(secondsPerGflop / machine.secondsPerGflop);
  });
  const mean = logs.reduce((sum, x) => sum + x, 0) / logs.length;
  const deviation = Math.sqrt(logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / logs.length);
  assert.ok(Math.abs(mean) < 0.02, `mean ${mean}`);
  assert.ok(Math.abs(deviation - 0.2) < 0.02, `deviation ${deviation}`);
});

test("a duty cycle is on for its share of every period", () => {
  const dutyCycle = { onShare: 0.25, periodSeconds: 100 };
  const [machine] = drawFleet(builtInFleet("gateways"), 1, { dutyCycle }, 1);
  assert.ok(machine !== undefined);
  let [atMs, onMs] = [0, 0];
  while (atMs < 1_000_000) {
    const { isOn, changesAtMs } = dutyAt(machine, atMs, 1);
    assert.ok(changesAtMs > atMs);
    const untilMs = Math.min(changesAtMs, 1_000_000);
    if (isOn) onMs += untilMs - atMs;
    atMs = untilMs;
  }
  assert.ok(Math.abs(onMs - 250_000) <= 25_000, `${onMs}`);
});

test("a fleet file with a wrong key says which one is meant", () => {
  const board = { type: "pi", count: 1, memoryBytes: 1 };
  const link = { name: "wire", count: 1, upMegabitsPerSecond: 1, downMegabitsPerSecond: 1 };
  const fleet = (speed: object) => ({ boards: [{ ...board, ...speed }], links: [link] });
  assert.throws(
    () => parseFleetProfile("site.yaml", fleet({ secondsPerGflops: 1 })),
    /site.yaml: .*secondsPerGflop/,
  );
  assert.throws(
    () => parseFleetProfile("site.yaml", fleet({ secondsPerGflop: [2, 1] })),
    /site.yaml: boards.0.secondsPerGflop/,
  );
});
