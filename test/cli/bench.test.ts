/** The measuring command: its figures hang together, and a simulation can read its board. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { parseFleetProfile } from "../../src/simulation/fleet-schema.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { must } from "../support/must.ts";

const QUICK = ["bench", "--seconds", "0.01", "--rank", "2"];
const links = [{ name: "lan", count: 1, upMegabitsPerSecond: 80, downMegabitsPerSecond: 80 }];

interface Step {
  readonly batchSize: number;
  readonly sparsity: number;
  readonly stepMs: number;
  readonly gflopsPerStep: number;
  readonly secondsPerGflop: number;
  readonly countedBytes: number;
  readonly heldBytes: number;
}

test("bench measures whole and pruned steps, and memory is what is counted", async () => {
  const [record] = (await fedspineJson(QUICK)) as { steps: Step[] }[];
  const { steps } = must(record);
  assert.equal(steps.length, 4);
  for (const { stepMs, gflopsPerStep, secondsPerGflop, countedBytes, heldBytes } of steps) {
    assert.ok(Math.abs(secondsPerGflop - stepMs / 1000 / gflopsPerStep) < 1e-12);
    assert.ok(Math.abs(countedBytes / heldBytes - 1) < 0.01);
  }
  const [whole, pruned] = [must(steps[0]), must(steps[1])];
  assert.equal(whole.sparsity, 0);
  assert.ok(Math.abs(pruned.sparsity - 0.5) < 0.01);
  assert.ok(pruned.gflopsPerStep < 0.55 * whole.gflopsPerStep);
});

test("a profile is a board that a simulation reads", async () => {
  const { stdout, status } = await fedspine([...QUICK, "--profile", "--type", "my-gateway"]);
  assert.equal(status, 0);
  const written = parse(stdout) as Record<string, unknown>;
  const { boards } = parseFleetProfile("the profile", { ...written, links });
  assert.equal(boards.length, 1);
  const { type, secondsPerGflop } = must(boards[0]);
  assert.equal(type, "my-gateway");
  const [low, high] = secondsPerGflop as [number, number];
  assert.ok(low > 0 && high >= low);
});
