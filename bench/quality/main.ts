/**
 * How much a base model is worth: accuracy by LoRA from it, from the same shape with random weights,
 * and by a bag of words, on labelled text sets; the figures of the model card.
 *
 *   node dist/bench/quality/main.js --model models/base-encoder --data ../shared/data \
 *     --sets sst2,hwu64,trec,banking77,snips --seeds 3 --steps 1000
 *
 * And what holding the frozen base in fewer bits costs, in points of accuracy against float32:
 *
 *   node dist/bench/quality/main.js --sets hwu64,trec --starts base --base-dtypes f32,f16,int8,int4
 *
 * One JSON line per result and one per comparison on stdout, a table on stderr.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { trainBagOfWords } from "../../src/data/bag-of-words.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import type { Dataset } from "../../src/data/examples.ts";
import { accuracy } from "../../src/data/metrics.ts";
import { encodeDataset } from "../../src/data/sequences.ts";
import { sampleExamples } from "../../src/data/split.ts";
import { baseDtypes, type BaseDtype } from "../../src/base/base-dtype.ts";
import { Rng } from "../../src/base/rng.ts";
import { generateEvents } from "../../src/demo-data/events.ts";
import { EVENT_LABELS } from "../../src/demo-data/tables.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { evaluateClassifier } from "../../src/train/evaluate.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";

const { values: args } = parseArgs({
  options: {
    model: { type: "string", default: "models/base-encoder" },
    data: { type: "string", default: "../shared/data" },
    sets: { type: "string", default: "sst2,hwu64,trec,banking77,snips,events" },
    starts: { type: "string", default: "base,random,bag-of-words" },
    seeds: { type: "string", default: "3" },
    "first-seed": { type: "string", default: "1" },
    steps: { type: "string", default: "1000" },
    lr: { type: "string", default: "2e-3" },
    rank: { type: "string", default: "8" },
    "base-dtypes": { type: "string", default: "f32" },
    kernels: { type: "string", default: "auto" },
  },
});

/** Longer texts are cut; few of these sets have any. */
const MAX_TOKENS = 64;
const BATCH_SIZE = 16;

type Start = "base" | "random" | "bag-of-words";

interface Score {
  readonly accuracy: number;
  readonly loss: number | null;
}

function loadSet(name: string, seed: number): { train: Dataset; test: Dataset } {
  if (name !== "events") return loadDataset(join(args.data, name), { seed });
  const make = (part: "train" | "test", count: number): Dataset => ({
    examples: generateEvents({ seed, count, part }),
    labels: EVENT_LABELS,
  });
  return { train: make("train", 2400), test: make("test", 1000) };
}

function byLora(
  set: { train: Dataset; test: Dataset },
  seed: number,
  { isRandom, baseDtype }: { isRandom: boolean; baseDtype: BaseDtype },
): Score {
  const engine = Engine.create({ kernels: args.kernels as "auto" });
  const model = loadModel(engine, args.model, {
    task: "classify",
    labels: set.train.labels,
    headSeed: seed,
    baseDtype,
    ...(isRandom ? { randomWeightsSeed: seed } : {}),
  });
  const tokenizer = loadTokenizer(args.model);
  const adapted = AdaptedModel.attach(model, {
    lora: {
      rank: Number(args.rank),
      alpha: 2 * Number(args.rank),
      targets: "all-linear",
      dropout: 0,
    },
    trainHead: true,
    seed,
  });
  const steps = Number(args.steps);
  // No more examples than the steps can see: encoding all of SST-2 would take longer than training.
  const shown = sampleExamples(set.train.examples, steps * BATCH_SIZE, Rng.fromSeed(seed));
  const train = encodeDataset({ ...set.train, examples: shown }, tokenizer, MAX_TOKENS);
  const tuner = new FineTuner(model, adapted.parameters(), train, {
    ...FINE_TUNE_DEFAULTS,
    steps,
    batchSize: BATCH_SIZE,
    peakRate: Number(args.lr),
    warmupSteps: Math.round(steps / 20),
    seed,
  });
  while (!tuner.isDone) tuner.step();
  const test = encodeDataset(set.test, tokenizer, MAX_TOKENS);
  return evaluateClassifier(model, test, { batchSize: 32 });
}

function byBagOfWords({ train, test }: { train: Dataset; test: Dataset }, seed: number): Score {
  const limit = Number(args.steps) * BATCH_SIZE;
  const examples = sampleExamples(train.examples, limit, Rng.fromSeed(seed));
  const classifier = trainBagOfWords({ examples, labels: train.labels }, { seed });
  const truth = test.examples.map(({ label }) => test.labels.indexOf(label));
  const predicted = test.examples.map(({ text }) => classifier.predict(text));
  return { accuracy: accuracy(truth, predicted), loss: null };
}

/** Mean accuracy over the seeds, in percent. */
function measure(name: string, start: Start, baseDtype: BaseDtype): number {
  const values: number[] = [];
  for (let i = 0; i < Number(args.seeds); i++) {
    const seed = Number(args["first-seed"]) + i;
    const set = loadSet(name, seed);
    const startMs = performance.now();
    const { accuracy: value, loss } =
      start === "bag-of-words"
        ? byBagOfWords(set, seed)
        : byLora(set, seed, { isRandom: start === "random", baseDtype });
    const seconds = Number(((performance.now() - startMs) / 1000).toFixed(1));
    values.push(100 * value);
    console.log(
      JSON.stringify({ set: name, start, baseDtype, seed, accuracy: value, loss, seconds }),
    );
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = (Math.max(...values) - Math.min(...values)).toFixed(1);
  const what = `${name.padEnd(10)} ${start.padEnd(13)} ${baseDtype.padEnd(5)}`;
  console.error(`${what} ${mean.toFixed(1)} % (spread ${spread})`);
  return mean;
}

const starts = args.starts.split(",") as Start[];
const dtypes = baseDtypes.filter((dtype) => args["base-dtypes"].split(",").includes(dtype));
for (const set of args.sets.split(",")) {
  for (const start of starts) {
    const means = new Map<BaseDtype, number>();
    // A bag of words has no base to hold.
    for (const dtype of start === "bag-of-words" ? dtypes.slice(0, 1) : dtypes) {
      means.set(dtype, measure(set, start, dtype));
    }
    const exact = means.get("f32");
    for (const [baseDtype, mean] of means) {
      if (exact === undefined || baseDtype === "f32") continue;
      const points = Number((mean - exact).toFixed(2));
      console.log(JSON.stringify({ set, start, baseDtype, seeds: Number(args.seeds), points }));
    }
  }
}
