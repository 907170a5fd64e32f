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

/** What results.json holds. */
export interface ResultsFile {
  readonly commit: string;
  readonly runs: readonly CellResult[];
  readonly measurements: readonly Measurement[];
  /** Which runs each table compares, by label. */
  readonly tables: readonly { readonly id: string; readonly runs: readonly string[] }[];
}

export function resultsFile(
  commit: string,
  blocks: readonly BlockResults[],
  runs: readonly CellResult[],
  measurements: readonly Measurement[],
): ResultsFile {
  const tables = blocks.map(({ block }) => ({
    id: block.id,
    runs: block.rows.flatMap(({ cells }) => cells.map(({ label }) => label)),
  }));
  return { commit, runs, measurements, tables };
}
