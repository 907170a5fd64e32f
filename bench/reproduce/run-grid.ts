/** Runs what is missing of a grid, learning rates first, one run after another. */
import type { Cell, Scale } from "./cells.ts";
import { TRIED_RATES, USUAL_RATE } from "./cells.ts";
import { cellsInOrder, gridOf, tuningCells, type Block } from "./grid.ts";
import { methods } from "./methods.ts";
import { finalOf } from "./metrics.ts";
import type { GridProgress } from "./progress.ts";
import type { Results } from "./results.ts";
import type { Trace } from "./trace.ts";

export interface GridRun {
  readonly scale: Scale;
  readonly datasets: readonly string[];
  readonly seeds: readonly number[];
  /** Which cells to run, by label; what is left out keeps its results. */
  readonly isWanted: (label: string) => boolean;
  readonly results: Results;
  readonly commit: string;
  readonly run: (cell: Cell) => Promise<Trace>;
  readonly nowMs: () => number;
  /** No run is begun after it. */
  readonly endMs: number;
  readonly progressOf: (numCells: number) => GridProgress;
}

/** The grid with the learning rates that were chosen by the results so far; rows without a choice have the usual one. */
export function currentGrid({ scale, datasets, seeds, results }: GridRun): Block[] {
  const rateOf = (dataset: string, methodId: string): number =>
    chosenRate(results, scale, dataset, methodId) ?? USUAL_RATE;
  return gridOf({ scale, datasets, seeds, rateOf });
}

/** Runs until all is done or time is up; returns whether all is done. */
export async function runGrid(grid: GridRun): Promise<boolean> {
  const { scale, datasets, isWanted } = grid;
  const progress = grid.progressOf(distinct(currentGrid(grid), isWanted).length + numTuning(grid));
  for (const dataset of datasets) {
    const wanted = methods.filter(({ id }) => isNeeded(grid, dataset, id));
    for (const method of scale.tuningRounds === 0 ? [] : wanted) {
      for (const cell of tuningCells(scale, dataset, method, TRIED_RATES)) {
        if (!(await runCell(grid, cell, progress))) return false;
      }
    }
  }
  for (const cell of distinct(currentGrid(grid), isWanted)) {
    if (!(await runCell(grid, cell, progress))) return false;
  }
  return true;
}

/** false when time was up before it. */
async function runCell(grid: GridRun, cell: Cell, progress: GridProgress): Promise<boolean> {
  const { results, commit, run, nowMs, endMs } = grid;
  if (results.find(cell) !== null) {
    progress.skipped();
    return true;
  }
  if (nowMs() >= endMs) return false;
  const done = progress.begun(cell.label);
  const startMs = nowMs();
  const trace = await run(cell);
  results.save(cell, { trace, wallMs: Math.round(nowMs() - startMs), commit });
  done(trace.ok ? (finalOf(trace)?.accuracy ?? null) : null);
  return true;
}

function chosenRate(
  results: Results,
  scale: Scale,
  dataset: string,
  methodId: string,
): number | null {
  const method = methods.find(({ id }) => id === methodId);
  if (method === undefined || scale.tuningRounds === 0) return null;
  let best: { rate: number; accuracy: number } | null = null;
  for (const cell of tuningCells(scale, dataset, method, TRIED_RATES)) {
    const trace = results.find(cell)?.trace;
    if (trace === undefined) return null;
    const accuracy = trace.ok ? (finalOf(trace)?.accuracy ?? 0) : 0;
    if (best === null || accuracy > best.accuracy) {
      best = { rate: cell.settings.learningRate, accuracy };
    }
  }
  return best?.rate ?? null;
}

/** Whether any wanted cell trains with the method's learning rate. */
function isNeeded(grid: GridRun, dataset: string, methodId: string): boolean {
  return currentGrid(grid).some(
    ({ dataset: own, kind, rows }) =>
      own === dataset &&
      rows.some(({ id, cells }) => {
        const rateId = kind === "methods" ? id : methods[0]?.id;
        return rateId === methodId && cells.some(({ label }) => grid.isWanted(label));
      }),
  );
}

function numTuning(grid: GridRun): number {
  if (grid.scale.tuningRounds === 0) return 0;
  const perDataset = grid.datasets.map(
    (dataset) => methods.filter(({ id }) => isNeeded(grid, dataset, id)).length,
  );
  return TRIED_RATES.length * perDataset.reduce((sum, count) => sum + count, 0);
}

/** Wanted cells in order, each of those with equal settings once. */
function distinct(blocks: readonly Block[], isWanted: (label: string) => boolean): Cell[] {
  const seen = new Set<string>();
  return cellsInOrder(blocks).filter((cell) => {
    const text = JSON.stringify(cell.settings);
    if (seen.has(text) || !isWanted(cell.label)) return false;
    seen.add(text);
    return true;
  });
}
