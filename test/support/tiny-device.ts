/** A device with a tiny base, a few labelled texts and an engine trainer: what a round does, without a network. */
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import type { LoraModule } from "../../src/base/adapter.ts";
import { hostArray, type HostArray, type NamedArrays } from "../../src/base/arrays.ts";
import type { ModelShape } from "../../src/base/model-shape.ts";
import { Rng } from "../../src/base/rng.ts";
import { decodeStructure, fullStructure, type Structure } from "../../src/base/structure.ts";
import { EngineTrainer, type EngineTrainerOptions } from "../../src/device/engine-trainer.ts";
import type { TrainerReport } from "../../src/device/local-trainer.ts";
import type { Example } from "../../src/data/examples.ts";
import { decodeAdapterFile } from "../../src/io/adapter-file.ts";
import { readModelShape } from "../../src/models/shape.ts";
import type { PruningPlan, TrainPlan } from "../../src/protocol/messages.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { copyTinyModel, tinyWords, type ModelEdits } from "./tiny-model.ts";

export const LABELS = ["cold", "hot", "wet"];

export const PLAN: TrainPlan = {
  ...{ rank: 2, alpha: 4, targets: "all-linear", trainHead: true, steps: 6, batchSize: 4 },
  ...{ learningRate: 0.01, maxTokens: 12, seed: 5, dropout: 0, labels: LABELS },
  ...{ pruning: null, start: "continue", trainA: true, selfPruning: null },
};

export const PRUNING: PruningPlan = {
  ...{ sparsity: 0.2, score: "fisher", decay: 0.9, blend: 0, guard: null },
  ...{ minFfnShare: 0.1, isReversible: false },
};

/** Sentences of four words; the class is decided by which of three words is there. */
export function examples(count: number, seed = "examples"): Example[] {
  const rng = Rng.fromSeed(seed);
  return Array.from({ length: count }, () => {
    const label = rng.pick(LABELS);
    const words = Array.from({ length: 3 }, () => rng.pick(tinyWords.slice(0, 12)));
    return { text: [...words, label].join(" "), label };
  });
}

export interface TinyDevice {
  readonly trainer: EngineTrainer;
  readonly folder: string;
  readonly shape: ModelShape;
}

/** A folder with the tiny base and its tokenizer. */
export function tinyBase(t: TestContext, edits: ModelEdits = {}): string {
  const folder = join(temporaryFolder(t), "base");
  return copyTinyModel("bert-classify", folder, { ...edits, tokenizer: "encoder" });
}

export async function tinyDevice(
  folder: string,
  options: Partial<EngineTrainerOptions> & { readonly run?: string } = {},
): Promise<TinyDevice> {
  const { run = basename(folder), ...rest } = options;
  const defaults = { examples: examples(40), deviceId: "device-1", kernels: "simd" } as const;
  const trainer = new EngineTrainer({ ...defaults, ...rest });
  await trainer.prepare(folder, LABELS, run);
  return { trainer, folder, shape: readModelShape(folder, LABELS) };
}

export interface RoundOfOne {
  readonly update: Uint8Array;
  readonly report: TrainerReport;
  readonly modules: readonly LoraModule[];
  readonly heads: NamedArrays;
  readonly scores: NamedArrays;
  readonly structure: Structure;
  readonly losses: readonly number[];
}

/** One round of a device with what came of it taken apart. */
export async function round(
  { trainer, shape }: TinyDevice,
  plan: Partial<TrainPlan>,
  adapter: Uint8Array | null = null,
): Promise<RoundOfOne> {
  const losses: number[] = [];
  const { update, report } = await trainer.train(
    { ...PLAN, ...plan },
    adapter,
    (_, loss) => {
      losses.push(loss);
      return Promise.resolve();
    },
    new AbortController().signal,
  );
  const content = decodeAdapterFile(update, "the update");
  const { modules, heads, scores, structureText } = content;
  const structure =
    structureText === null
      ? fullStructure(shape.units)
      : decodeStructure(structureText, shape.units, "the update");
  return { update, report, modules, heads, scores, structure, losses };
}

/** A module for every linear layer with entries around 0.1, in ranks that differ from layer to layer. */
export function someModules(folder: string, rankOf: (i: number) => number): LoraModule[] {
  const shape = readModelShape(folder, LABELS);
  const rng = Rng.fromSeed("modules");
  return shape.linears.map(({ name, outputs, inputs }, i) => {
    const fill = (rows: number, cols: number): HostArray =>
      hostArray(
        [rows, cols],
        Float32Array.from({ length: rows * cols }, () => 0.1 * rng.normal()),
      );
    return {
      name,
      a: fill(rankOf(i), inputs),
      b: fill(outputs, rankOf(i)),
      scale: PLAN.alpha / PLAN.rank,
    };
  });
}
