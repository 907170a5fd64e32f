/**
 * Which importance score leaves the better model: one device trains on a text set, prunes step by step with each
 * score, recovers, and is scored on the test part; the figures of docs/pruning.md.
 *
 *   node dist/bench/scores/main.js --data ../shared/data/trec --sparsities 0.5,0.7 --seeds 1
 *
 * One JSON line per result on stdout.
 */
import { parseArgs } from "node:util";
import { decodeStructure } from "../../src/base/structure.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import type { Dataset } from "../../src/data/examples.ts";
import { encodeDataset } from "../../src/data/sequences.ts";
import { EngineTrainer } from "../../src/device/engine-trainer.ts";
import { adapterArrays, decodeAdapterFile } from "../../src/io/adapter-file.ts";
import { loadModel } from "../../src/models/load.ts";
import { readModelShape } from "../../src/models/shape.ts";
import { scoreNames, type ScoreName, type TrainPlan } from "../../src/protocol/messages.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { evaluateClassifier } from "../../src/train/evaluate.ts";

const { values: args } = parseArgs({
  options: {
    model: { type: "string", default: "models/base-encoder" },
    data: { type: "string", default: "../shared/data/trec" },
    scores: { type: "string", default: scoreNames.join() },
    sparsities: { type: "string", default: "0.5" },
    seeds: { type: "string", default: "1" },
    kernels: { type: "string", default: "auto" },
  },
});

/** Rounds before the first pruning, with pruning, and after the last; each of {@link STEPS} steps. */
const [BEFORE, PRUNING, AFTER] = [10, 6, 6];
const STEPS = 25;
const MAX_TOKENS = 48;
const LORA = { rank: 8, alpha: 16, targets: "all-linear", dropout: 0 } as const;
/** Falls to a tenth in equal steps. */
const FIRST_RATE = 2e-3;

const kernels = args.kernels === "simd" ? "simd" : "auto";
const { train, test } = loadDataset(args.data, { seed: 1 });
const shape = readModelShape(args.model, train.labels);

for (const seed of args.seeds.split(",")) {
  for (const sparsity of args.sparsities.split(",").map(Number)) {
    for (const name of args.scores.split(",")) {
      const score = scoreNames.find((known) => known === name) ?? "random";
      const update = await run(score, sparsity, seed);
      console.log(JSON.stringify({ score, sparsity, seed, ...evaluate(update, test) }));
    }
  }
}

/** The update of the last round. */
async function run(score: ScoreName, final: number, seed: string): Promise<Uint8Array> {
  const { examples, labels } = train;
  const trainer = new EngineTrainer({ examples, deviceId: `d${seed}`, kernels });
  await trainer.prepare(args.model, labels, "scores");
  const rounds = BEFORE + PRUNING + AFTER;
  let adapter: Uint8Array | null = null;
  for (let round = 0; round < rounds; round++) {
    const plan: TrainPlan = {
      ...{ ...LORA, trainHead: true, steps: STEPS, batchSize: 16, maxTokens: MAX_TOKENS },
      ...{ labels: [...labels], start: "continue", trainA: true, selfPruning: null },
      seed: 1000 * Number(seed) + round,
      learningRate: FIRST_RATE * (1 - (0.9 * round) / (rounds - 1)),
      pruning: {
        sparsity: rampTo(final, round),
        ...{ score, decay: 0.9, blend: 0, guard: null, minFfnShare: 0.1, isReversible: false },
      },
    };
    const onStep = (): Promise<void> => Promise.resolve();
    const { signal } = new AbortController();
    adapter = (await trainer.train(plan, adapter, onStep, signal)).update;
  }
  return adapter ?? new Uint8Array();
}

/** The cubic ramp of the pruning schedule. */
function rampTo(final: number, round: number): number {
  const progress = Math.min(1, Math.max(0, (round - BEFORE + 1) / PRUNING));
  return final * (1 - (1 - progress) ** 3);
}

function evaluate(update: Uint8Array, { examples, labels }: Dataset) {
  const content = decodeAdapterFile(update, "the update");
  const structure = decodeStructure(content.structureText ?? "", shape.units, "the update");
  const engine = Engine.create({ kernels });
  const model = loadModel(engine, args.model, { task: "classify", labels, headSeed: 1, structure });
  const adapted = AdaptedModel.attach(model, { lora: LORA, trainHead: true, seed: 1 });
  adapted.load(adapterArrays(content), "the update");
  const tokenizer = loadTokenizer(args.model);
  const sequences = encodeDataset({ examples, labels }, tokenizer, MAX_TOKENS);
  const { accuracy, loss } = evaluateClassifier(model, sequences, { batchSize: 32 });
  const heads = structure.layers.map((layer) => layer.heads.length);
  const ffn = structure.layers.map((layer) => layer.ffn.length);
  return { accuracy, loss, heads, ffn };
}
