/**
 * Runs FedSpine and what it is compared with over a grid of data sets, splits and sparsities in the simulator, and sets the
 * results beside the paper's claims:
 *
 *   npm run reproduce -- --quick            small: one data set, one seed; prints its tables within ten minutes
 *   npm run reproduce -- --full --resume    the grid; goes on where it stopped, writes docs/reproduction/
 *
 * Progress on stderr, tables on stdout.
 */
import { execFileSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ConfigError, FedspineError } from "../../src/base/errors.ts";
import { readJson, writeJson } from "../../src/io/json.ts";
import { openCharts } from "../../src/report/chart.ts";
import { blockResults, isTelling } from "./block-results.ts";
import { scales, type Scale } from "./cells.ts";
import { allResults, curvesCsv, resultsJson } from "./data-files.ts";
import { measureModel, writePaperSizedModel, type Measurement } from "./measure.ts";
import { plotFiles } from "./plots.ts";
import { GridProgress } from "./progress.ts";
import { readmeText, tablesText, type Report } from "./readme.ts";
import { Results } from "./results.ts";
import { currentGrid, runGrid, type GridRun } from "./run-grid.ts";
import { runOne } from "./run-one.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const base = join(root, "models", "base-encoder");
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const { values: args } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    /** Go on from the results in the work folder. */
    resume: { type: "boolean", default: false },
    /** Only runs whose label contains one of these, separated by commas. */
    only: { type: "string" },
    data: { type: "string" },
    datasets: { type: "string" },
    seeds: { type: "string" },
    workers: { type: "string", default: "2" },
    /** Folder for results of single runs. */
    work: { type: "string" },
    /** Begin no run after so many minutes. */
    minutes: { type: "string" },
    /** Give all methods the same learning rate instead of choosing one for each. */
    untuned: { type: "boolean", default: false },
    /** Run and measure nothing: tables and charts from what is there. */
    "tables-only": { type: "boolean", default: false },
  },
});

interface Setup {
  readonly scale: Scale;
  readonly dataFolder: string;
  readonly datasets: readonly string[];
  readonly seeds: readonly number[];
  readonly workFolder: string;
  readonly notes: readonly string[];
}

function setup(): Setup {
  if (args.quick === args.full) {
    throw new ConfigError("how much to run", { expected: "either --quick or --full" });
  }
  const planned = scales[args.quick ? "quick" : "full"];
  const scale = args.untuned ? { ...planned, tuningRounds: 0 } : planned;
  const dataFolder =
    args.data ?? process.env["FEDSPINE_DATA"] ?? join(root, "..", "shared", "data");
  const wanted = (args.datasets ?? (args.quick ? "trec" : "sst2,hwu64")).split(",");
  const missing = wanted.filter((name) => name !== "demo" && !existsSync(join(dataFolder, name)));
  const there = wanted.filter((name) => !missing.includes(name));
  const notes = missing.map((name) => `There is no ${name} in the data folder: it is left out.`);
  if (there.length === 0) {
    notes.push("The demo's generated events stand in for the data sets.");
    there.push("demo");
  }
  return {
    ...{ scale, dataFolder, datasets: there, notes },
    seeds: (args.seeds ?? (args.quick ? "1" : "1,2,3")).split(",").map(Number),
    workFolder: args.work ?? join(root, "runs", "reproduce", scale.name),
  };
}

/** Measured once and kept with the results. */
function measurements({ scale, workFolder }: Setup): Measurement[] {
  const path = join(workFolder, "measured", "measurements.json");
  if (existsSync(path)) return readJson(path) as Measurement[];
  if (args["tables-only"]) return [];
  say("measuring inference time and training memory");
  const sparsities = scale.name === "quick" ? [0.5] : [0.3, 0.5, 0.6];
  const common = { sparsities, numTokens: 32 };
  const measured = measureModel({
    ...{ ...common, name: "bundled base", folder: base, isPaperSized: false },
    ...{ batchSize: 16, repeats: 15 },
  });
  if (scale.name === "full") {
    const folder = join(workFolder, "measured", "model");
    writePaperSizedModel(base, folder);
    const paperSized = measureModel({
      ...{ ...common, name: "RoBERTa-base's body", folder, isPaperSized: true },
      ...{ batchSize: 4, repeats: 7 },
    });
    measured.push(...paperSized);
    rmSync(folder, { recursive: true });
  }
  writeJson(path, measured);
  return measured;
}

async function main(): Promise<void> {
  const settings = setup();
  const { scale, dataFolder, datasets, seeds, workFolder, notes } = settings;
  notes.forEach(say);
  const stop = new AbortController();
  // Every job of a run listens to it.
  setMaxListeners(0, stop.signal);
  process.once("SIGINT", () => stop.abort(new FedspineError("interrupted")));
  const startMs = performance.now();
  const words = args.only?.split(",") ?? [];
  const results = new Results(join(workFolder, "results"), args.resume || args["tables-only"]);
  const grid: GridRun = {
    ...{ scale, datasets, seeds, results, commit: commitText() },
    isWanted: (label) => words.length === 0 || words.some((word) => label.includes(word)),
    run: (cell) =>
      runOne(cell, {
        ...{ base, dataFolder, workFolder: join(workFolder, "unfinished") },
        ...{ numWorkers: Number(args.workers), signal: stop.signal },
        onRound: () => undefined,
      }),
    nowMs: () => performance.now(),
    endMs: args.minutes === undefined ? Infinity : startMs + 60_000 * Number(args.minutes),
    progressOf: (numCells) => new GridProgress(numCells, say, () => performance.now()),
  };
  const measured = measurements(settings);
  try {
    if (!args["tables-only"]) await runGrid(grid);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say("interrupted: the tables are of what is done, and --resume goes on");
  }
  await write(settings, grid, measured);
}

async function write(
  { scale, datasets, seeds, notes }: Setup,
  grid: GridRun,
  measured: readonly Measurement[],
): Promise<void> {
  const grids = currentGrid(grid);
  const onFailed = (label: string, reason: string): void => say(`failed: ${label}: ${reason}`);
  const blocks = grids
    .map((block) => blockResults(block, grid.results, onFailed))
    .filter(isTelling);
  const runs = allResults(grids, grid.results);
  const cells = new Set(
    grids.flatMap(({ rows }) =>
      rows.flatMap((row) => row.cells.map(({ settings }) => JSON.stringify(settings))),
    ),
  );
  const isFull = scale.name === "full";
  const report: Report = {
    ...{ scale, datasets, seeds, blocks, notes, measurements: measured, commit: grid.commit },
    command: commandText(scale, datasets, seeds),
    plots: isFull ? plotFiles(blocks, await openCharts()) : [],
    numDone: runs.length,
    numCells: cells.size,
  };
  process.stdout.write(`${tablesText(report)}\n`);
  if (!isFull) return;
  const folder = join(root, "docs", "reproduction");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "README.md"), readmeText(report));
  writeFileSync(join(folder, "results.json"), resultsJson(grid.commit, blocks, runs, measured));
  writeFileSync(join(folder, "curves.csv"), curvesCsv(runs));
  for (const { name, svg } of report.plots) writeFileSync(join(folder, `${name}.svg`), svg);
  say(`wrote ${folder}`);
}

/** What gives these results, from nothing or from a part of them. */
function commandText(scale: Scale, datasets: readonly string[], seeds: readonly number[]): string {
  const given = [
    ...["npm run reproduce --", `--${scale.name}`, "--resume"],
    ...["--datasets", datasets.join(","), "--seeds", seeds.join(",")],
  ];
  return [...given, ...(args.untuned ? ["--untuned"] : [])].join(" ");
}

/** Of the working tree, with a mark when it has changes of its own. */
function commitText(): string {
  const git = (...what: string[]): string =>
    execFileSync("git", what, { cwd: root }).toString().trim();
  try {
    const isChanged = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${isChanged ? " with changes" : ""}`;
  } catch {
    return "unknown";
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof FedspineError)) throw error;
  say(`reproduce: ${error.message}`);
  process.exitCode = error.exitCode;
}
