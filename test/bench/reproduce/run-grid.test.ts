/** Running a grid: what is done is skipped, learning rates are chosen first, time and wishes are kept. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { scales, TRIED_RATES, USUAL_RATE, type Cell } from "../../../bench/reproduce/cells.ts";
import { methods } from "../../../bench/reproduce/methods.ts";
import { GridProgress } from "../../../bench/reproduce/progress.ts";
import { Results } from "../../../bench/reproduce/results.ts";
import { currentGrid, runGrid, type GridRun } from "../../../bench/reproduce/run-grid.ts";
import type { Trace } from "../../../bench/reproduce/trace.ts";
import { ConfigError } from "../../../src/base/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function trace(accuracy: number, ok = true): Trace {
  const point = { round: 4, timeMs: 10, bytes: 10, gflop: 1, accuracy, worst: accuracy };
  return { points: [point], waitingMs: 1, roundMs: 2, sparsity: 0.5, rounds: 4, ok, reason: "" };
}

interface Played {
  readonly grid: GridRun;
  readonly ran: Cell[];
  readonly said: string[];
}

function played(folder: string, isResumed: boolean, more: Partial<GridRun> = {}): Played {
  const [ran, said]: [Cell[], string[]] = [[], []];
  let now = 0;
  const grid: GridRun = {
    ...{ scale: scales.quick, datasets: ["sst2"], seeds: [1], commit: "abc" },
    results: new Results(folder, isResumed),
    isWanted: () => true,
    run: (cell) => {
      ran.push(cell);
      now += 60_000;
      return Promise.resolve(trace(cell.settings.learningRate === 8e-3 ? 0.8 : 0.6));
    },
    nowMs: () => now,
    endMs: Infinity,
    progressOf: (count) =>
      new GridProgress(
        count,
        (line) => void said.push(line),
        () => now,
      ),
    ...more,
  };
  return { grid, ran, said };
}

test("finished runs are skipped when a grid is resumed, and refused when it is not", async (t) => {
  const folder = temporaryFolder(t);
  const first = played(folder, false, { isWanted: (label) => label.includes("fed-it") });
  assert.equal(await runGrid(first.grid), true);
  assert.deepEqual(
    first.ran.map(({ label }) => label),
    ["sst2/a1/s0/fed-it/seed1"],
  );
  assert.throws(
    () => played(folder, false),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /holds 1 results already[\s\S]*--resume/);
      return true;
    },
  );
  const second = played(folder, true);
  assert.equal(await runGrid(second.grid), true);
  assert.equal(second.ran.length, methods.length - 1);
  assert.equal(readdirSync(folder).length, methods.length);
  const third = played(folder, true);
  await runGrid(third.grid);
  assert.equal(third.ran.length, 0);
});

test("no run begins after the end of the time", async (t) => {
  const { grid, ran, said } = played(temporaryFolder(t), false, { endMs: 150_000 });
  assert.equal(await runGrid(grid), false);
  assert.equal(ran.length, 3);
  assert.equal(said.length, 3);
  assert.match(
    said[2] ?? "",
    /^\[3\/9\] sst2\/.*: accuracy 60\.0 % in 1 min 0 s, 6 min 0 s to go$/,
  );
});

test("the best of the tried learning rates is used, from runs that come first", async (t) => {
  const scale = { ...scales.quick, tuningRounds: 2 };
  const isWanted = (label: string): boolean => label.includes("fedspine");
  const { grid, ran } = played(temporaryFolder(t), false, { scale, isWanted });
  assert.equal(currentGrid(grid)[0]?.rows[0]?.cells[0]?.settings.learningRate, USUAL_RATE);
  await runGrid(grid);
  assert.deepEqual(
    ran.map(({ settings }) => settings.learningRate),
    [...TRIED_RATES, 8e-3],
  );
  assert.equal(currentGrid(grid)[0]?.rows[0]?.cells[0]?.settings.learningRate, 8e-3);
});

test("a result that is damaged is named", async (t) => {
  const folder = temporaryFolder(t);
  const { grid } = played(folder, false);
  await runGrid(grid);
  for (const name of readdirSync(folder)) writeFileSync(join(folder, name), "{}\n");
  await assert.rejects(runGrid(played(folder, true).grid), /is not a result[\s\S]*remove it/);
});
