/** Runs a simulation from its settings to its summary, round by round, and goes on with one that was interrupted. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import type { RunEvent, RunSummary } from "../coordinator/run-events.ts";
import { readRunRecord } from "../coordinator/run-journal.ts";
import { readJson, writeJson } from "../io/json.ts";
import type { SimulationConfig } from "./config.ts";
import type { FleetProfile } from "./fleet-schema.ts";
import { scoreFinalModels } from "./final-models.ts";
import { coordinatorConfig, prepareWorld } from "./preparation.ts";
import { isOneWorld, playRound, type WorldParts } from "./round-world.ts";
import { simulationData } from "./simulation-data.ts";
import { SimulationLog } from "./simulation-log.ts";
import { loadState, newState, saveState, type SimulationState } from "./simulation-state.ts";
import { RoundTally, summarize, VersionTally, totalsOf } from "./simulation-summary.ts";
import type { SimulationSummary } from "./simulation-summary.ts";
import type { WorkerSetup } from "./trainer-jobs.ts";
import type { JobRunner } from "./worker-pool.ts";

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
  const parts = prepareWorld(settings, config, data, deps);
  try {
    return await playRounds(parts, state, deps);
  } finally {
    await parts.pool.close();
  }
}

async function playRounds(
  parts: WorldParts,
  begin: SimulationState,
  { outFolder, onEvent }: SimulationDeps,
): Promise<SimulationSummary> {
  const log = new SimulationLog(join(outFolder, "events.jsonl"), begin.log, onEvent);
  const summaryPath = join(outFolder, "summary.json");
  let state = begin;
  for (;;) {
    const before = state.round;
    // What a round's coordinator leaves there speaks of that round alone.
    const played = await playNext(parts, state, log).finally(() =>
      rmSync(summaryPath, { force: true }),
    );
    const { run, epoch } = readRunRecord(outFolder) ?? state.identity;
    state = { ...played.state, identity: { run, epoch } };
    const isSaved = state.round > before;
    const isOver = isOneWorld(parts.config) || state.round >= parts.config.rounds;
    // A world that was to last for the whole run cannot be gone on with: what its devices were at is lost.
    if (isSaved && (state.round >= parts.config.rounds || !isOver)) saveState(outFolder, state);
    if (isSaved && !isOver) continue;
    const final = isSaved ? await scoreFinalModels(parts, state) : null;
    const summary = summarize({ run: played.summary, state, final }, parts.machines);
    writeJson(summaryPath, summary);
    return summary;
  }
}

/** The state after the next round, or after the attempt at it. */
async function playNext(
  parts: WorldParts,
  before: SimulationState,
  log: SimulationLog,
): Promise<{ state: SimulationState; summary: RunSummary }> {
  const round = before.round + 1;
  const isWhole = isOneWorld(parts.config);
  const isLast = isWhole || round === parts.config.rounds;
  const tally = new RoundTally(round, before.nowMs);
  const versions = new VersionTally();
  log.beginRound();
  const { summary, nowMs, devices, numEvents } = await playRound(
    parts,
    round,
    before,
    (atMs, event, gflops) => {
      tally.add(event);
      versions.add(atMs, event, gflops);
      log.add(atMs, event, isLast);
    },
  );
  const totals = totalsOf(summary.devices);
  const record = tally.record(before, { devices, totals });
  const state: SimulationState = {
    round: summary.rounds,
    nowMs,
    identity: before.identity,
    log: log.position,
    devices,
    totals,
    rounds: isWhole
      ? versions.rounds
      : summary.rounds === round
        ? [...before.rounds, record]
        : before.rounds,
    dropped: summary.dropped,
    numEvents: before.numEvents + numEvents,
  };
  return { state, summary };
}

/** Leaves a copy of the settings in the folder. Throws ConfigError when it holds another simulation, or another's settings. */
function claimFolder(
  settings: SimulationConfig,
  { outFolder, resume, fleet }: SimulationDeps,
): void {
  const path = join(outFolder, "simulation.json");
  if (!resume) {
    if (readRunRecord(outFolder) !== undefined) {
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
