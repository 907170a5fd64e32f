/** Inference time and training memory of pruned models beside the unpruned one, in real time and real processes. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Tape } from "../../src/autograd/tape.ts";
import { Rng } from "../../src/base/rng.ts";
import { fullStructure } from "../../src/base/structure.ts";
import { uniformStructure } from "../../src/cost/approximate.ts";
import { packBatch } from "../../src/data/batch.ts";
import { readJsonObject, writeJson } from "../../src/io/json.ts";
import { loadModel } from "../../src/models/load.ts";
import { saveModel } from "../../src/models/save.ts";
import type { Model } from "../../src/models/model.ts";
import { readModelShape } from "../../src/models/shape.ts";
import { Engine } from "../../src/tensor/engine.ts";

/** One structure of one model; shares are of the unpruned model's value. */
export interface Measurement {
  readonly model: string;
  /** Whether it has the sizes of the model that the paper measured. */
  readonly isPaperSized: boolean;
  readonly sparsity: number;
  /** Median over forward passes of one batch. */
  readonly inferenceMs: number;
  readonly inferenceShare: number;
  /** Most resident memory of a process that trains for one round. */
  readonly residentBytes: number;
  readonly memoryShare: number;
  /** Of it, what the tensor engine holds at its peak. */
  readonly engineBytes: number;
  readonly engineShare: number;
}

export interface MeasureOptions {
  readonly name: string;
  readonly folder: string;
  readonly isPaperSized: boolean;
  /** Without 0, which is always measured. */
  readonly sparsities: readonly number[];
  readonly batchSize: number;
  readonly numTokens: number;
  /** Forward passes per model. */
  readonly repeats: number;
}

const LABELS = ["0", "1"];

/** Heads and channels go evenly from all layers; which ones makes no difference to time and memory. */
export function measureModel(options: MeasureOptions): Measurement[] {
  const { name, isPaperSized, sparsities } = options;
  const times = inferenceTimes(options);
  const memory = [0, ...sparsities].map((sparsity) => trainingMemory(options, sparsity));
  const [wholeMs = 1] = times;
  const [whole = { residentBytes: 1, engineBytes: 1 }] = memory;
  return [0, ...sparsities].map((sparsity, i) => {
    const inferenceMs = times[i] ?? 0;
    const { residentBytes, engineBytes } = memory[i] ?? whole;
    return {
      ...{ model: name, isPaperSized, sparsity },
      ...{ inferenceMs, inferenceShare: inferenceMs / wholeMs },
      ...{ residentBytes, memoryShare: residentBytes / whole.residentBytes },
      ...{ engineBytes, engineShare: engineBytes / whole.engineBytes },
    };
  });
}

/** Medians in milliseconds, the unpruned model first; the models take turns, so that a disturbance meets all of them. */
function inferenceTimes({
  folder,
  sparsities,
  batchSize,
  numTokens,
  repeats,
}: MeasureOptions): number[] {
  const shape = readModelShape(folder, LABELS);
  const models = [0, ...sparsities].map((sparsity) => {
    const structure =
      sparsity === 0 ? fullStructure(shape.units) : uniformStructure(shape, sparsity);
    const engine = Engine.create({ kernels: "simd" });
    return loadModel(engine, folder, { task: "classify", labels: LABELS, headSeed: 1, structure });
  });
  const rng = Rng.fromSeed(1);
  const sequences = Array.from({ length: batchSize }, () => ({
    ids: Array.from({ length: numTokens }, () => rng.int(shape.vocabSize)),
  }));
  const durations = models.map((): number[] => []);
  const numWarmUps = 2;
  for (let i = 0; i < numWarmUps + repeats; i++) {
    models.forEach((model, k) => {
      const duration = forwardMs(model, sequences);
      if (i >= numWarmUps) durations[k]?.push(duration);
    });
  }
  return durations.map(median);
}

function forwardMs(model: Model, sequences: readonly { readonly ids: number[] }[]): number {
  const { engine } = model;
  const batch = packBatch([...sequences]);
  const start = performance.now();
  engine.step(() => {
    model.classLogits(new Tape(engine, { recording: false }), batch);
  });
  return performance.now() - start;
}

/** A process of its own, since resident memory is a process's. */
function trainingMemory(
  { folder, batchSize, numTokens }: MeasureOptions,
  sparsity: number,
): { residentBytes: number; engineBytes: number } {
  const work = mkdtempSync(join(tmpdir(), "fedspine-measure-"));
  try {
    const adapter = join(work, "adapter.safetensors");
    const run = (task: string): string =>
      execFileSync(process.execPath, [
        fileURLToPath(new URL("./measure-process.js", import.meta.url)),
        ...[task, folder, adapter, String(sparsity), String(batchSize), String(numTokens)],
      ]).toString();
    run("prune");
    return JSON.parse(run("train")) as { residentBytes: number; engineBytes: number };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Writes a model of RoBERTa-base's body to `folder`, with random weights, which take as long as trained ones. */
export function writePaperSizedModel(bundled: string, folder: string): void {
  const plan = mkdtempSync(join(tmpdir(), "fedspine-sizes-"));
  try {
    // A model folder needs a weights file even where the weights are to be random.
    copyFileSync(join(bundled, "model.safetensors"), join(plan, "model.safetensors"));
    writeJson(join(plan, "config.json"), {
      ...readJsonObject(join(bundled, "config.json")),
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
    });
    const purpose = { task: "classify", labels: LABELS, randomWeightsSeed: 1 } as const;
    const model = loadModel(Engine.create({ kernels: "simd" }), plan, purpose);
    saveModel(model, folder, { dtype: "F16", tokenizerFolder: bundled });
  } finally {
    rmSync(plan, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
