/** Runs one cell through the simulator and folds its events into a trace. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import type { SimulationConfig } from "../../src/simulation/config.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";
import { cellKey, coordinatorSettings, EMULATED, type Cell, type CellSettings } from "./cells.ts";
import { traceOf, type Trace } from "./trace.ts";

export interface RunOneOptions {
  /** Base model folder. */
  readonly base: string;
  /** Folder with the data sets, each a folder of its own. */
  readonly dataFolder: string;
  /** Where unfinished runs are kept, each in a folder named by its key. */
  readonly workFolder: string;
  readonly numWorkers: number;
  readonly onRound: (round: number) => void;
  readonly signal: AbortSignal;
}

/** Goes on with an interrupted run of the same cell. Rejects with the signal's reason when it is interrupted again. */
export async function runOne(cell: Cell, options: RunOneOptions): Promise<Trace> {
  const { base, dataFolder, workFolder, numWorkers, onRound, signal } = options;
  const outFolder = join(workFolder, cellKey(cell));
  const isBegun = existsSync(join(outFolder, "simulation-state.json"));
  if (!isBegun) rmSync(outFolder, { recursive: true, force: true });
  await runSimulation(simulationConfig(cell.settings, dataFolder), {
    base,
    fleet: builtInFleet(cell.settings.fleet),
    outFolder,
    numWorkers,
    resume: isBegun,
    onEvent: (event) => {
      if (event.kind === "round-finished") onRound(event.round);
    },
    onNote: () => undefined,
    signal,
  });
  const trace = traceOf(readEvents(join(outFolder, "events.jsonl")));
  rmSync(outFolder, { recursive: true, force: true });
  return trace;
}

/** The settings of the simulator for a cell. */
export function simulationConfig(settings: CellSettings, dataFolder: string): SimulationConfig {
  const { dataset, alpha, seed, fleet, scale } = settings;
  return parseSimulationConfig({
    seed,
    data: {
      source: dataset === "demo" ? dataset : join(dataFolder, dataset),
      maxExamples: scale.trainExamples,
      maxTestExamples: scale.testExamples,
    },
    fleet: { profile: fleet, devices: scale.devices },
    emulate: EMULATED,
    partition: { kind: "dirichlet", alpha },
    participation: { count: scale.perRound },
    evaluation: { every: scale.evaluateEvery, devices: scale.evaluateDevices },
    coordinator: coordinatorSettings(settings),
  });
}

/** All of them, those of a run before an interruption included. */
function readEvents(path: string): RunEvent[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as RunEvent);
}
