/** `fedspine plan`: its forecast against steps that are really trained, and what it makes of a profile. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fedspine, fedspineJson } from "../support/command.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

interface Forecast {
  readonly bytes: Readonly<Record<"weights" | "state" | "step" | "engine" | "process", number>>;
  readonly gflopsPerStep: number;
  readonly secondsPerStep?: readonly number[];
  readonly sparsity: number;
  readonly measured?: { readonly engineBytes: number; readonly secondsPerStep: number };
}

async function plan(...args: string[]): Promise<Forecast> {
  const [forecast] = await fedspineJson(["plan", ...args]);
  return forecast as Forecast;
}

test("the engine takes what was forecast, within a tenth, in every format and with recomputation", async () => {
  const size = ["--measure", "--batch", "4", "--length", "24"];
  for (const more of [[], ["--base-dtype", "int8", "--recompute"], ["--prune", "0.5"]]) {
    const { bytes, measured } = await plan(...size, ...more);
    const ratio = bytes.engine / (measured?.engineBytes ?? 0);
    assert.ok(ratio > 0.9 && ratio < 1.1, `${more.join(" ")}: ${ratio}`);
    assert.equal(bytes.engine, bytes.weights + bytes.state + bytes.step);
    assert.ok(bytes.process > bytes.engine + 40e6);
  }
});

test("a profile gives the time of a step, and pruning and fewer bits give room", async (t) => {
  const profile = join(temporaryFolder(t), "board.yaml");
  writeFileSync(profile, "boards:\n  - type: board\n    secondsPerGflop: [0.1, 0.2]\n");
  const whole = await plan("--profile", profile);
  assert.deepEqual(whole.secondsPerStep, [0.1 * whole.gflopsPerStep, 0.2 * whole.gflopsPerStep]);
  const pruned = await plan("--prune", "0.5");
  assert.ok(Math.abs(pruned.sparsity - 0.5) < 0.02);
  assert.ok(pruned.bytes.engine < 0.75 * whole.bytes.engine);
  const small = await plan("--base-dtype", "int4");
  assert.ok(small.bytes.weights < 0.2 * whole.bytes.weights);
  const again = await plan("--recompute");
  assert.ok(again.bytes.step < 0.6 * whole.bytes.step);
  assert.ok(again.gflopsPerStep > whole.gflopsPerStep);
});

test("a file that is no profile is refused with what would be one", async (t) => {
  const path = join(temporaryFolder(t), "board.yaml");
  writeFileSync(path, "boards: []\n");
  const { status, stderr } = await fedspine(["plan", "--profile", path]);
  assert.equal(status, 64);
  assert.match(stderr, /not the profile of a machine: expected one board with secondsPerGflop/);
});
