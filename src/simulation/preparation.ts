/** What a simulation needs before its first round, out of its settings and its data. */
import type { ModelShape } from "../base/model-shape.ts";
import { ConfigError } from "../base/errors.ts";
import { parseCoordinatorConfig, type CoordinatorConfig } from "../coordinator/config.ts";
import { aggregatorOf } from "../coordinator/strategy-config.ts";
import { costOf } from "../cost/approximate.ts";
import { readHeadShapes } from "../models/head-shapes.ts";
import { readModelShape } from "../models/shape.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { SimulationConfig } from "./config.ts";
import { FleetScorer } from "./fleet-scores.ts";
import { Pricing } from "./pricing.ts";
import { drawFleet, type TimeFactors } from "./profiles.ts";
import { isOneWorld, type WorldParts } from "./round-world.ts";
import type { SimulationData } from "./simulation-data.ts";
import type { SimulationDeps } from "./simulation.ts";
import type { WorkerSetup } from "./trainer-jobs.ts";
import { WorkerPool } from "./worker-pool.ts";

const FLEET = "simulation";
const DAY_MS = 86_400_000;

/** Throws ConfigError for settings that a coordinator does not take. */
export function coordinatorConfig(
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

/** Starts the workers, too; they are the caller's to close. */
export function prepareWorld(
  settings: SimulationConfig,
  config: CoordinatorConfig,
  { labels, parts: examples, test }: SimulationData,
  { base, fleet, numWorkers, createRunner, signal }: SimulationDeps,
): WorldParts {
  const { seed, kernels, baseDtype, evaluation, baseInstalled } = settings;
  if (baseDtype !== "f32" && aggregatorOf(config).devicesMerge === true) {
    throw new ConfigError("simulation settings: baseDtype", {
      expected: `f32, since devices fold adapters into the base for ${config.aggregation.kind}`,
      got: baseDtype,
      hint: "take another coordinator.aggregation, or leave baseDtype out",
    });
  }
  const { devices, overrides, hostile = null } = settings.fleet;
  const machines = drawFleet(fleet, devices, overrides, seed, hostile);
  if (isOneWorld(config) && machines.some(({ board }) => board.dropoutProbability > 0)) {
    throw new ConfigError("simulation settings: dropoutProbability with mode buffered", {
      expected: "0, since a device that vanishes is back for the next round",
      hint: "use dutyCycle for devices that come and go",
    });
  }
  const shape = readModelShape(base, labels);
  const setup: WorkerSetup = {
    ...{ baseFolder: base, labels, kernels, baseDtype },
    ...{ parts: examples, test },
  };
  const pool = createRunner?.(setup) ?? new WorkerPool(setup, numWorkers);
  return {
    seed,
    config,
    machines,
    pool,
    scorer: new FleetScorer({ pool, shape, maxTokens: config.plan.maxTokens }),
    pricing: new Pricing(shape, loadTokenizer(base), examples),
    factors: timeFactors(settings.emulate, shape, config),
    shape,
    heads: readHeadShapes(base, labels),
    scoreEvery: evaluation.every,
    baseInstalled,
    signal,
  };
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
