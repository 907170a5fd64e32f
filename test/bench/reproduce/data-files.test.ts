/** The files with the numbers behind the tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scales, USUAL_RATE } from "../../../bench/reproduce/cells.ts";
import { allResults, curvesCsv, resultsJson } from "../../../bench/reproduce/data-files.ts";
import { cellsInOrder, gridOf } from "../../../bench/reproduce/grid.ts";
import { Results } from "../../../bench/reproduce/results.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const point = { round: 4, timeMs: 1500, bytes: 10, gflop: 0.5, accuracy: 0.5, worst: 0.25 };
const trace = { points: [point], waitingMs: 1, roundMs: 2, sparsity: 0.5, rounds: 4 };

test("every run is in the files once, also when several tables show it", (t) => {
  const blocks = gridOf({
    ...{ scale: scales.full, datasets: ["sst2"], seeds: [1], rateOf: () => USUAL_RATE },
  });
  const results = new Results(temporaryFolder(t), false);
  const ours = cellsInOrder(blocks).filter(({ label }) => /fedspine|fed-it/.test(label));
  for (const cell of ours) {
    results.save(cell, { trace: { ...trace, ok: true, reason: "" }, wallMs: 7, commit: "abc" });
  }
  const runs = allResults(blocks, results);
  // FedSpine at three sparsities and, at the middle one, two more splits; FedIT once per split.
  assert.equal(runs.length, 5 + 3);
  const csv = curvesCsv(runs).trimEnd().split("\n");
  assert.equal(csv.length, 1 + runs.length);
  assert.match(csv[1] ?? "", /^sst2\/a1\/s50\/fedspine\/seed1,4,1\.5,10,0\.50,0\.50000,0\.25000$/);
  const blockResults = blocks.map((block) => ({ block, rows: [] }));
  const text = resultsJson("abc", blockResults, runs, []);
  const read = JSON.parse(text) as { commit: string; runs: unknown[]; tables: unknown[] };
  assert.equal(read.commit, "abc");
  assert.deepEqual(read.runs, runs);
  assert.equal(read.tables.length, blocks.length);
  assert.equal(text.split("\n").filter((line) => line.startsWith('{"label"')).length, runs.length);
});
