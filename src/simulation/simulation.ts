/** Runs a simulation from its settings to its summary, round by round, and goes on with one that was interrupted. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { parseCoordinatorConfig, type CoordinatorConfig } from "../coordinator/config.ts";
import { costOf } from "../cost/approximate.ts";
import type { RunEvent } from "../coordinator/run-events.ts";
import { RunFolder } from "../coordinator/run-folder.ts";
import { readJson, writeJson } from "../io/json.ts";
import { readHeadShapes } from "../models/head-shapes.ts";
import { readModelShape } from "../models/shape.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { SimulationConfig } from "./config.ts";
import type { FleetProfile } from "./fleet-schema.ts";
import { Pricing } from "./pricing.ts";
import { drawFleet, type TimeFactors } from "./profiles.ts";
import { playRound, type WorldParts } from "./round-world.ts";
import { simulationData, type SimulationData } from "./simulation-data.ts";
import { SimulationLog } from "./simulation-log.ts";
import { loadState, newState, saveState, type SimulationState } from "./simulation-state.ts";
import { addCounts, addTotals, RoundTally, summarize } from "./simulation-summary.ts";
import type { SimulationSummary } from "./simulation-summary.ts";
import type { WorkerSetup } from "./trainer-jobs.ts";
import { type JobRunner, WorkerPool } from "./worker-pool.ts";

export interface SimulationDeps {
  /** Folder of the base model. */
  readonly base: string;
  readonly fleet: FleetProfile;
  /** Where config, events, state, checkpoint and summary go. */
  readonly outFolder: string;
  readonly numWorkers: number;
  /** Does the jobs instead of worker threads. */
  readonly createRunner?: (setup: WorkerSetup) => JobRunner;
  /** Go on with the simulation in the folder; false asks for a folder without one. */
  readonly resume: boolean;
  readonly onEvent: (event: RunEvent) => void;
  /** One sentence each, before the first round. */
  readonly onNote: (text: string) => void;
  /** Ends the simulation at once; it can be resumed from its last whole round. */
  readonly signal: AbortSignal;
}

const FLEET = "simulation";
const DAY_MS = 86_400_000;

/** Rejects with ConfigError or DataError before the start, and with the signal's reason when it is interrupted. */
export async function runSimulation(
  settings: SimulationConfig,
  deps: SimulationDeps,
): Promise<SimulationSummary> {
  const { outFolder, resume } = deps;
  claimFolder(settings, deps);
  const data = simulationData(settings);
  for (const note of data.notes) deps.onNote(note);
  const config = coordinatorConfig(settings, data, deps);
  const state = resume ? loadState(outFolder) : newState;
  if (state.round >= config.rounds) {
    throw new ConfigError(`${outFolder}: all ${state.round} rounds are done`);
  }
  const { parts, runner } = prepareWorld(settings, config, data, deps);
  try {
    return await playRounds(parts, state, deps);
  } finally {
    await runner.close();
  }
}

async function playRounds(
  parts: WorldParts,
  begin: SimulationState,
  { outFolder, onEvent }: SimulationDeps,
): Promise<SimulationSummary> {
  const { config, machines } = parts;
  const log = new SimulationLog(join(outFolder, "events.jsonl"), begin.log, onEvent);
  for (let state = begin; ;) {
    const round = state.round + 1;
    const isLast = round === config.rounds;
    log.beginRound();
    const tally = new RoundTally(round, state.nowMs);
    const played = await playRound(parts, round, state, (atMs, event) => {
      tally.add(event);
      log.add(atMs, event, isLast);
    });
    const { summary, nowMs, devices, numEvents } = played;
    const isSaved = summary.rounds === round;
    state = {
      round: summary.rounds,
      nowMs,
      identity: new RunFolder(outFolder).identity() ?? begin.identity,
      log: log.position,
      devices,
      totals: addTotals(state.totals, summary.devices),
      rounds: isSaved
        ? [...state.rounds, tally.record(summary, state.devices, devices)]
        : state.rounds,
      dropped: addCounts(state.dropped, summary.dropped),
      numEvents: state.numEvents + numEvents,
    };
    if (isSaved) saveState(outFolder, state);
    const summaryPath = join(outFolder, "summary.json");
    if (isSaved && !isLast) {
      // The coordinator's own, of this round alone.
      rmSync(summaryPath, { force: true });
      continue;
    }
    const result = summarize(summary, state, machines);
    writeJson(summaryPath, result);
    return result;
  }
}

function prepareWorld(
  settings: SimulationConfig,
  config: CoordinatorConfig,
  { labels, parts: examples, test }: SimulationData,
  { base, fleet, numWorkers, createRunner, signal }: SimulationDeps,
): { parts: WorldParts; runner: JobRunner } {
  const { seed, kernels, evaluation, baseInstalled } = settings;
  const { devices, overrides } = settings.fleet;
  const shape = readModelShape(base, labels);
  const setup: WorkerSetup = { baseFolder: base, labels, kernels, parts: examples, test };
  const runner = createRunner?.(setup) ?? new WorkerPool(setup, numWorkers);
  const parts: WorldParts = {
    seed,
    config,
    machines: drawFleet(fleet, devices, overrides, seed),
    pool: runner,
    pricing: new Pricing(shape, loadTokenizer(base), examples),
    factors: timeFactors(settings.emulate, shape, config),
    shape,
    heads: readHeadShapes(base, labels),
    scoreEvery: evaluation.every,
    baseInstalled,
    signal,
  };
  return { parts, runner };
}

function timeFactors(
  { gflopsPerStep, updateBytes }: SimulationConfig["emulate"],
  shape: ModelShape,
  { plan, pruning }: CoordinatorConfig,
): TimeFactors {
  const { rank, targets, batchSize, maxTokens, trainHead, dropout } = plan;
  const numTokens = Math.min(maxTokens, shape.maxPositions);
  const own = costOf(shape, {
    ...{ rank, targets, batchSize, numTokens, trainHead, dropout },
    structure: { sparsity: 0 },
    scoresUnits: pruning !== null,
    sendsMeanScores: false,
  });
  return {
    training: gflopsPerStep === undefined ? 1 : gflopsPerStep / own.gflopsPerStep,
    transfer: updateBytes === undefined ? 1 : updateBytes / own.bytesUp,
  };
}

/** Leaves a copy of the settings in the folder. Throws ConfigError when it holds another simulation, or another's settings. */
function claimFolder(
  settings: SimulationConfig,
  { outFolder, resume, fleet }: SimulationDeps,
): void {
  const path = join(outFolder, "simulation.json");
  if (!resume) {
    if (existsSync(join(outFolder, "run.json"))) {
      throw new ConfigError(`${outFolder} holds a run already`, {
        hint: "resume it, or choose another folder",
      });
    }
    writeJson(path, { settings, fleet });
    return;
  }
  const saved = existsSync(path) ? JSON.stringify(readJson(path)) : "";
  if (saved === JSON.stringify({ settings, fleet })) return;
  throw new ConfigError(`${outFolder} does not hold this simulation`, {
    expected: `the settings in ${path}`,
    hint: "a simulation goes on with the settings that it began with",
  });
}
function coordinatorConfig(
  { seed, participation, coordinator, evaluation }: SimulationConfig,
  { labels }: SimulationData,
  { base, outFolder }: SimulationDeps,
): CoordinatorConfig {
  return parseCoordinatorConfig({
    heartbeatMs: 60_000,
    roundTimeoutMs: DAY_MS,
    joinTimeoutMs: DAY_MS,
    minDevices: 1,
    scoredModels: evaluation.devices,
    ...coordinator,
    fleet: FLEET,
    runFolder: outFolder,
    base,
    labels,
    seed,
    selection:
      participation === "all" ? { kind: "all" } : { kind: "random", count: participation.count },
  });
}
