/** Kills coordinator, broker and devices in runs of many seeds and prints as JSON what did not hold: `main.js [numSeeds] [firstSeed]`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CrashOutcome, crashRun, differences } from "../../test/support/crash-run.ts";

const NUM_SEEDS = 200;
/** Runs at a time. */
const PARALLEL = 2;
const SIZE = { devices: ["a", "b", "c"], rounds: 3, numKills: 6 };

const [numSeeds = NUM_SEEDS, firstSeed = 1] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), "fedspine-crash-"));
const run = (seed: number | null): Promise<CrashOutcome> =>
  crashRun({ ...SIZE, seed, folder: join(folder, `seed-${seed}`) });

const calm = await run(null);
const left = Array.from({ length: numSeeds }, (_, i) => firstSeed + i);
const failures: { seed: number; problems: string[] }[] = [];
const kills: Record<string, number> = {};
const durationsMs: number[] = [];

async function work(): Promise<void> {
  for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
    const outcome = await run(seed);
    const problems = differences(calm, outcome);
    if (problems.length > 0) failures.push({ seed, problems });
    for (const [role, count] of Object.entries(outcome.kills)) {
      kills[role] = (kills[role] ?? 0) + count;
    }
    durationsMs.push(outcome.durationMs);
    const verdict = problems.length === 0 ? "ok" : problems.join("; ");
    process.stderr.write(`seed ${seed}: ${verdict} (${outcome.durationMs} ms)\n`);
  }
}

await Promise.all(Array.from({ length: PARALLEL }, work));
rmSync(folder, { recursive: true, force: true });
durationsMs.sort((a, b) => a - b);
const medianMs = durationsMs[Math.floor(durationsMs.length / 2)] ?? 0;
const result = {
  ...SIZE,
  seeds: durationsMs.length,
  kills,
  calm: calm.problems,
  medianMs,
  failures,
};
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
process.exitCode = failures.length === 0 && calm.problems.length === 0 ? 0 : 1;
