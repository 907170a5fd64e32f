/** Verdicts, tables and charts from made-up results. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { blockTarget, type BlockResults } from "../../../bench/reproduce/block-results.ts";
import { scales, USUAL_RATE } from "../../../bench/reproduce/cells.ts";
import { checkClaims, comparisons } from "../../../bench/reproduce/claims.ts";
import { gridOf } from "../../../bench/reproduce/grid.ts";
import type { Measurement } from "../../../bench/reproduce/measure.ts";
import { plotFiles } from "../../../bench/reproduce/plots.ts";
import { readmeText, tablesText, type Report } from "../../../bench/reproduce/readme.ts";
import { blockTable, markdownTable } from "../../../bench/reproduce/tables.ts";
import type { Trace } from "../../../bench/reproduce/trace.ts";
import { openCharts } from "../../../src/report/chart.ts";

const blocks = gridOf({
  ...{ scale: scales.full, datasets: ["sst2"], seeds: [1, 2], rateOf: () => USUAL_RATE },
});

/** Reaches `accuracy` after the first round, which takes `roundMs`. */
function trace(accuracy: number, roundMs: number): Trace {
  const points = [0, 1, 2, 3].map((round) => ({
    ...{ round, timeMs: roundMs * round, bytes: 1000 * round, gflop: 100 * round },
    ...{ accuracy: round === 0 ? 0 : accuracy, worst: 0.5 * accuracy },
  }));
  return { points, waitingMs: 1, roundMs, sparsity: 0.5, rounds: 3, ok: true, reason: "" };
}

/** Results for the centre of the grid: FedSpine, and every other method, with so much accuracy and time per round. */
function results(ours: [number, number], others: [number, number]): BlockResults[] {
  return blocks.map((block, i) => ({
    block,
    rows: block.rows.map(({ id, name }) => ({
      ...{ id, name, learningRate: USUAL_RATE },
      traces:
        i > 0
          ? []
          : [0, 0.02].map((by) => trace(...shifted(id === "fedspine" ? ours : others, by))),
    })),
  }));
}

function shifted([accuracy, roundMs]: [number, number], by: number): [number, number] {
  return [accuracy + by, roundMs];
}

function measured(inferenceShare: number, memoryShare: number): Measurement {
  return {
    ...{ model: "m", isPaperSized: true, sparsity: 0.5, inferenceMs: 10, inferenceShare },
    ...{ residentBytes: 1e8, memoryShare, engineBytes: 5e7, engineShare: 0.6 },
  };
}

test("FedSpine is compared with pruning baselines alone, as ratio of times and difference of means", () => {
  const found = comparisons(results([0.8, 100], [0.7, 200]));
  assert.deepEqual([...new Set(found.map(({ methodId }) => methodId))], ["fedspine", "hybrid"]);
  const ours = found.filter(({ methodId }) => methodId === "fedspine");
  assert.deepEqual(
    ours.map(({ baseline }) => baseline),
    ["Federated LoRAPrune", "Prune once, then FedLoRA", "FedMP on LoRA"],
  );
  for (const { speedUp, points } of ours) {
    // The target, 0.71, is on FedSpine's way up to 0.8 and 0.82, and at the end of the others' to 0.7 and 0.72.
    assert.ok(speedUp !== null && speedUp > 2 && speedUp < 2.5, String(speedUp));
    assert.ok(Math.abs((points ?? 0) - 10) < 1e-9);
  }
});

test("a control that fails does not lower the target of the others", () => {
  const [centre] = results([0.8, 100], [0.7, 200]);
  assert.ok(centre !== undefined);
  const rows = centre.rows.map((row) =>
    row.id === "random-units" ? { ...row, traces: [trace(0.1, 100)] } : row,
  );
  assert.equal(blockTarget({ ...centre, rows }), blockTarget(centre));
});

test("verdicts follow the data", () => {
  const verdicts = (blocksOf: BlockResults[], measurements: Measurement[]): string[] =>
    checkClaims(blocksOf, measurements).map(({ verdict }) => verdict);
  const [yes, no, unknown] = ["reproduced", "not reproduced", "not measured"];
  assert.deepEqual(verdicts(results([0.8, 100], [0.7, 200]), [measured(0.5, 0.67)]), [
    ...[yes, yes, yes, yes, unknown],
  ]);
  assert.deepEqual(verdicts(results([0.7, 200], [0.7, 200]), [measured(0.52, 1.2)]), [
    ...[no, no, no, no, unknown],
  ]);
  assert.deepEqual(verdicts([], []), [unknown, unknown, unknown, unknown, unknown]);
});

test("the interval of 20 steps is judged only where it was run beside others", () => {
  const interval = blocks.filter(({ id }) => id.endsWith("-interval"));
  const at = (accuracies: Readonly<Record<string, number>>): BlockResults[] =>
    interval.map((block) => ({
      block,
      rows: block.rows.map(({ id, name }) => ({
        ...{ id, name, learningRate: null },
        traces: accuracies[id] === undefined ? [] : [trace(accuracies[id], 100)],
      })),
    }));
  const verdict = (accuracies: Readonly<Record<string, number>>): string =>
    checkClaims(at(accuracies), []).at(-1)?.verdict ?? "";
  assert.equal(verdict({ "steps-20": 0.7, "steps-5": 0.6 }), "reproduced");
  assert.equal(verdict({ "steps-20": 0.7, "steps-40": 0.8 }), "not reproduced");
  assert.equal(verdict({ "steps-5": 0.6, "steps-10": 0.6 }), "not measured");
});

test("a table of a block has a row per method with results, its mean and its spread", () => {
  const [centre] = results([0.8, 100], [0.7, 200]);
  assert.ok(centre !== undefined);
  const text = blockTable(centre);
  assert.match(text, /^Target: 71\.0 %\./);
  assert.match(text, /\| FedSpine +\| 81\.0 ± 1\.4 \|/);
  assert.equal(text.split("\n").filter((line) => line.startsWith("| ")).length, 11);
  // One seed of the others ends below the mean of both.
  assert.match(text, /reached \|/);
});

test("numbers stand to the right and a bar in a cell does not end it", () => {
  const table = markdownTable(
    [
      { name: "name", cell: ({ name }: { name: string; value: number }) => name, isText: true },
      { name: "value", cell: ({ value }) => String(value) },
    ],
    [{ name: "a|b", value: 7 }],
  );
  assert.equal(table, "| name | value |\n| ---- | ----: |\n| a\\|b |     7 |");
});

test("the document has the command, the seeds and every chart, and the tables alone fit a terminal", async () => {
  const found = results([0.8, 100], [0.7, 200]);
  const plots = plotFiles(found, await openCharts());
  assert.deepEqual(
    plots.map(({ name }) => name),
    ["sst2-a1-s50-methods-curve"],
  );
  const report: Report = {
    ...{ scale: scales.full, datasets: ["sst2"], seeds: [1, 2], command: "npm run reproduce" },
    ...{ commit: "abc", blocks: found, measurements: [measured(0.5, 0.67)], plots, notes: [] },
    ...{ numDone: 18, numCells: 200 },
  };
  const text = readmeText(report);
  assert.match(text, /18 of 200 runs/);
  assert.match(text, /!\[Accuracy over time[^\]]*\]\(sst2-a1-s50-methods-curve\.svg\)/);
  assert.match(text, /\*\*Seeds\*\* 1, 2/);
  assert.ok(text.includes(tablesText(report)));
});
