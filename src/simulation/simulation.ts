/** Runs a simulation from its settings to its summary, round by round, and goes on with one that was interrupted. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import { parseCoordinatorConfig, type CoordinatorConfig } from "../coordinator/config.ts";
import type { RunEvent } from "../coordinator/run-events.ts";
import { writeJson } from "../io/json.ts";
import { readHeadShapes } from "../models/head-shapes.ts";
import { readModelShape } from "../models/shape.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { SimulationConfig } from "./config.ts";
import type { FleetProfile } from "./fleet-schema.ts";
import { Pricing } from "./pricing.ts";
import { drawFleet } from "./profiles.ts";
import { playRound, type WorldParts } from "./round-world.ts";
import { simulationData, type SimulationData } from "./simulation-data.ts";
import { SimulationLog } from "./simulation-log.ts";
import { loadState, newDeviceState, newState, saveState } from "./simulation-state.ts";
import { addCounts, addTotals, summarize, type SimulationSummary } from "./simulation-summary.ts";
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
  const { base, fleet, outFolder, numWorkers, resume, signal } = deps;
  const statePath = join(outFolder, "simulation-state.json");
  if (!resume && existsSync(join(outFolder, "run.json"))) {
    throw new ConfigError(`${outFolder} holds a run already`, {
      hint: "resume it, or choose another folder",
    });
  }
  const { seed } = settings;
  const data = simulationData(settings);
  for (const note of data.notes) deps.onNote(note);
  const config = coordinatorConfig(settings, data, deps);
  const machines = drawFleet(fleet, settings.fleet.devices, settings.fleet.overrides, seed);
  const shape = readModelShape(base, data.labels);
  const pricing = new Pricing(shape, loadTokenizer(base), data.parts);
  mkdirSync(outFolder, { recursive: true });
  let state = resume ? loadState(statePath) : newState;
  writeJson(join(outFolder, "simulation.json"), { settings, fleet, base });
  const log = new SimulationLog(join(outFolder, "events.jsonl"), state.log, deps.onEvent);
  const { kernels } = settings;
  const { labels, parts, test } = data;
  const setup: WorkerSetup = { baseFolder: base, labels, kernels, parts, test };
  const pool = deps.createRunner?.(setup) ?? new WorkerPool(setup, numWorkers);
  const heads = readHeadShapes(base, labels);
  const { every: scoreEvery } = settings.evaluation;
  const fixed = { seed, config, machines, shape, heads, scoreEvery };
  const world: WorldParts = { ...fixed, pool, pricing, signal };
  let devices = new Map(
    machines.map(({ id }) => [
      id,
      state.devices[id] ?? { ...newDeviceState, hasBase: settings.baseInstalled },
    ]),
  );
  try {
    for (;;) {
      const round = state.round + 1;
      const isLast = round === config.rounds;
      log.beginRound();
      const start = { nowMs: state.nowMs, devices };
      const played = await playRound(world, round, start, (atMs, event) =>
        log.add(atMs, event, isLast),
      );
      const { summary } = played;
      devices = new Map(played.devices);
      const isSaved = summary.rounds === round;
      state = {
        round: isSaved ? round : state.round,
        nowMs: played.nowMs,
        log: log.position,
        devices: Object.fromEntries(devices),
        totals: addTotals(state.totals, summary.devices),
        dropped: addCounts(state.dropped, summary.dropped),
        numEvents: state.numEvents + played.numEvents,
      };
      if (!isSaved || isLast) {
        const result = summarize(summary, state, machines);
        writeJson(join(outFolder, "summary.json"), result);
        return result;
      }
      saveState(statePath, state);
    }
  } finally {
    await pool.close();
  }
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
