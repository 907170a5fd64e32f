/** The numbers behind tables and charts, as files for other programs. */
import type { BlockResults } from "./block-results.ts";
import type { Block } from "./grid.ts";
import type { Measurement } from "./measure.ts";
import type { CellResult, Results } from "./results.ts";

/** Every run that is done, with all its settings; runs that several blocks share once. */
export function allResults(blocks: readonly Block[], results: Results): CellResult[] {
  const found = new Map<string, CellResult>();
  for (const { rows } of blocks) {
    for (const cell of rows.flatMap(({ cells }) => cells)) {
      const result = results.find(cell);
      if (result !== null) found.set(JSON.stringify(result.settings), result);
    }
  }
  return [...found.values()];
}

/** One line per scored round of every run. */
export function curvesCsv(runs: readonly CellResult[]): string {
  const head = "run,round,time_s,bytes,gflop,accuracy,worst_accuracy";
  const lines = runs.flatMap(({ label, trace }) =>
    trace.points.map(({ round, timeMs, bytes, gflop, accuracy, worst }) =>
      [
        ...[label, round, (timeMs / 1000).toFixed(1), bytes, gflop.toFixed(2)],
        ...[accuracy.toFixed(5), worst.toFixed(5)],
      ].join(","),
    ),
  );
  return `${[head, ...lines].join("\n")}\n`;
}

/** JSON with every run on a line of its own: its settings, its curve and when it was run. */
export function resultsJson(
  commit: string,
  blocks: readonly BlockResults[],
  runs: readonly CellResult[],
  measurements: readonly Measurement[],
): string {
  const lines = (values: readonly unknown[]): string =>
    values.length === 0
      ? "[]"
      : `[\n${values.map((value) => JSON.stringify(value)).join(",\n")}\n]`;
  const tables = blocks.map(({ block }) => ({
    id: block.id,
    runs: block.rows.flatMap(({ cells }) => cells.map(({ label }) => label)),
  }));
  const parts = { measurements: lines(measurements), tables: lines(tables), runs: lines(runs) };
  const members = Object.entries(parts).map(([name, text]) => `"${name}": ${text}`);
  return `{"commit": ${JSON.stringify(commit)},\n${members.join(",\n")}}\n`;
}
