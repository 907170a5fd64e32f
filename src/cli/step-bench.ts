/** Measures training steps on this machine and sets them beside what the cost model counts. */
import type { ThreadChoice } from "../backend/threads/load.ts";
import type { BaseDtype } from "../base/base-dtype.ts";
import { Rng } from "../base/rng.ts";
import { fullStructure } from "../base/structure.ts";
import type { TargetPattern } from "../base/target-pattern.ts";
import { uniformStructure } from "../cost/approximate.ts";
import { stepFlops } from "../cost/flops.ts";
import { trainingMemory } from "../cost/memory.ts";
import { bodySparsity } from "../cost/parameters.ts";
import { loadModel } from "../models/load.ts";
import { readModelShape } from "../models/shape.ts";
import { AdaptedModel } from "../train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../train/fine-tune.ts";
import { openEngine } from "./open-engine.ts";
import type { KernelChoice } from "./options.ts";

export interface StepCase {
  readonly batchSize: number;
  readonly numTokens: number;
  /** Body sparsity of the model that is trained. */
  readonly sparsity: number;
}

export interface MeasuredStep extends StepCase {
  readonly steps: number;
  /** Median over the steps. */
  readonly stepMs: number;
  readonly gflopsPerStep: number;
  readonly secondsPerGflop: number;
  readonly countedBytes: number;
  /** Weights, state and the step's peak, as the engine reports them. */
  readonly heldBytes: number;
  readonly kernels: string;
  readonly baseDtype: BaseDtype;
  readonly threads: number;
}

export interface StepBenchOptions {
  readonly model: string;
  readonly rank: number;
  readonly kernels: KernelChoice;
  readonly baseDtype: BaseDtype;
  readonly threads: ThreadChoice;
  /** Layers with an adapter, by default all linear ones. */
  readonly targets?: TargetPattern;
  readonly recompute?: boolean;
  /** Steps are repeated for about so long, and at least three times. */
  readonly durationMs: number;
}

/** Every linear layer has an adapter and the head is trained: what a plan of a federated run asks for most. */
const SETUP = { targets: "all-linear", trainHead: true, dropout: 0, scoresUnits: false } as const;
const LABELS = ["0", "1", "2", "3"];
const WARM_UP_STEPS = 2;
const LEAST_STEPS = 3;
const MOST_STEPS = 200;

/** Trains a classifier on random token ids. Throws CheckpointError for a model that cannot be one. */
export function measureStep(
  { batchSize, numTokens, sparsity }: StepCase,
  options: StepBenchOptions,
): MeasuredStep {
  const { model: folder, rank, kernels, baseDtype, threads, durationMs } = options;
  const { targets = SETUP.targets, recompute = false } = options;
  const shape = readModelShape(folder, LABELS);
  const structure = sparsity === 0 ? fullStructure(shape.units) : uniformStructure(shape, sparsity);
  const engine = openEngine({ kernels, threads });
  const model = loadModel(engine, folder, {
    task: "classify",
    labels: LABELS,
    structure,
    baseDtype,
  });
  const { trainHead, dropout } = SETUP;
  const lora = { rank, alpha: 2 * rank, targets, dropout };
  const adapted = AdaptedModel.attach(model, { lora, trainHead, seed: 1 });
  const rng = Rng.fromSeed(1).fork("bench");
  const sequences = Array.from({ length: batchSize }, (_, i) => ({
    ids: Array.from({ length: numTokens }, () => rng.int(shape.vocabSize)),
    label: i % LABELS.length,
  }));
  const tuner = new FineTuner(model, adapted.parameters(), sequences, {
    ...FINE_TUNE_DEFAULTS,
    steps: WARM_UP_STEPS + MOST_STEPS,
    batchSize,
    recompute,
  });
  const durations = timedSteps(tuner, durationMs);
  const { weights, state, stepPeak } = engine.stats;
  engine.dispose();
  const sizes = { structure, rank, targets, batchSize, numTokens };
  const setup = { ...SETUP, ...sizes, baseDtype, recompute };
  const { forward, backward } = stepFlops(shape, setup);
  const gflopsPerStep = (forward + backward) / 1e9;
  const stepMs = median(durations);
  return {
    ...{ batchSize, numTokens, sparsity: bodySparsity(shape, structure) },
    ...{ steps: durations.length, stepMs, gflopsPerStep },
    secondsPerGflop: stepMs / 1000 / gflopsPerStep,
    countedBytes: trainingMemory(shape, setup).peak,
    heldBytes: weights + state + stepPeak,
    kernels: engine.variant,
    baseDtype,
    threads: engine.threads,
  };
}

function timedSteps(tuner: FineTuner, durationMs: number): number[] {
  for (let i = 0; i < WARM_UP_STEPS; i++) tuner.step();
  const durations: number[] = [];
  let total = 0;
  while (durations.length < LEAST_STEPS || (total < durationMs && durations.length < MOST_STEPS)) {
    const start = performance.now();
    tuner.step();
    const duration = performance.now() - start;
    durations.push(duration);
    total += duration;
  }
  return durations;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return ((low ?? 0) + (high ?? 0)) / 2;
}
