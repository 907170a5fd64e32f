/** `fedspine pretrain`: train a base model on text files, vocabulary included. */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { ThreadChoice } from "../../backend/threads/load.ts";
import { Rng } from "../../base/rng.ts";
import { writeJson } from "../../io/json.ts";
import { saveModel } from "../../models/save.ts";
import { describeModel } from "../../models/description.ts";
import { Model } from "../../models/model.ts";
import { ParameterStore } from "../../nn/parameters.ts";
import {
  corpusFiles,
  loadCorpus,
  paragraphsOf,
  readText,
  type Corpus,
} from "../../pretrain/corpus.ts";
import { causalObjective, maskedObjective, type Objective } from "../../pretrain/objective.ts";
import { pretrain, startEmbedding, type PretrainState } from "../../pretrain/pretrain.ts";
import { localStartDefaults, startLocalAttention } from "../../pretrain/local-start.ts";
import { pretrainPreset } from "../../pretrain/presets.ts";
import { svdStart, svdStartDefaults } from "../../pretrain/svd-start.ts";
import { copyToHost, overwrite } from "../../tensor/named-tensors.ts";
import { loadTokenizer, type Tokenizer } from "../../text/tokenizer.ts";
import { trainWordPiece, wordPieceFiles } from "../../text/train-vocabulary.ts";
import { readCheckpoint, writeCheckpoint } from "../../train/checkpoint.ts";
import { SCHEDULES, type ScheduleKind } from "../../train/schedule.ts";
import {
  integer,
  kernelsOption,
  threadsOption,
  number,
  numberOrOff,
  onOff,
  type KernelChoice,
} from "../options.ts";
import { openEngine } from "../open-engine.ts";
import { durationText, note, print } from "../output.ts";
import { progressBar } from "../progress.ts";

interface Options {
  data: string[];
  out: string;
  objective: "masked" | "causal";
  tokenizer?: string;
  vocabSize: number;
  minFrequency: number;
  layers: number;
  width: number;
  heads: number;
  inner: number;
  length: number;
  steps: number;
  batchSize: number;
  lr: number;
  warmup: number;
  schedule: ScheduleKind;
  weightDecay: number;
  clip: number;
  maskProbability: number;
  wholeWords: boolean;
  svdStart: boolean;
  localStart: boolean;
  heldOut: number;
  seed: number;
  evaluateEvery: number;
  checkpointEvery: number;
  continue?: boolean;
  dtype: "f32" | "f16";
  kernels: KernelChoice;
  threads: ThreadChoice;
}

export function command(): Command {
  return new Command()
    .description(
      "Train a base model on text files: vocabulary, embedding start, model, checkpoints",
    )
    .requiredOption("--data <path...>", "text files or folders, gzipped or not")
    .requiredOption("--out <dir>", "model folder to write")
    .addOption(
      new Option("--objective <kind>", "masked: BERT-style encoder; causal: LLaMA-style decoder")
        .choices(["masked", "causal"])
        .default("masked"),
    )
    .option("--tokenizer <dir>", "folder with a tokenizer.json to use (default: train one)")
    .option("--vocab-size <n>", "pieces of a trained vocabulary", integer(100), 8192)
    .option("--min-frequency <n>", "rarer characters and pairs get no piece", integer(1), 20)
    .option("--layers <n>", "transformer blocks", integer(1), 4)
    .option("--width <n>", "residual width", integer(1), 192)
    .option("--heads <n>", "attention heads", integer(1), 6)
    .option("--inner <n>", "inner width of the MLP", integer(1), 768)
    .option("--length <n>", "tokens per training window", integer(4), 64)
    .option("--steps <n>", "updates in all", integer(1), 9000)
    .option("--batch-size <n>", "windows per update", integer(1), 32)
    .option("--lr <rate>", "peak learning rate", number(0), 1.5e-3)
    .option("--warmup <n>", "steps of linear warm-up", integer(0), 400)
    .addOption(new Option("--schedule <kind>").choices(SCHEDULES).default("linear"))
    .option("--weight-decay <w>", "AdamW weight decay", number(0), 0.01)
    .option("--clip <norm|off>", "bound of the gradient norm", numberOrOff, 1)
    .option(
      "--mask-probability <p>",
      "share of tokens to predict (masked)",
      number(0.01, 0.9),
      0.25,
    )
    .option("--whole-words <on|off>", "hide whole words (masked)", onOff, false)
    .option(
      "--svd-start <on|off>",
      "start the embedding from PPMI + SVD of the corpus",
      onOff,
      true,
    )
    .option("--local-start <on|off>", "start heads looking at neighbours (masked)", onOff, true)
    .option(
      "--held-out <share>",
      "end of every document kept for evaluation",
      number(0, 0.5),
      0.005,
    )
    .option("--seed <n>", "seed of everything random", integer(0), 1)
    .option("--evaluate-every <n>", "steps between held-out losses", integer(1), 250)
    .option("--checkpoint-every <n>", "steps between checkpoints", integer(1), 250)
    .option("--continue", "continue from the checkpoint in --out")
    .addOption(
      new Option("--dtype <type>", "type of the written weights")
        .choices(["f32", "f16"])
        .default("f16"),
    )
    .addOption(kernelsOption("auto"))
    .addOption(threadsOption("auto"))
    .action(run);
}

function run(options: Options): void {
  mkdirSync(options.out, { recursive: true });
  const files = corpusFiles(options.data);
  const tokenizer = openTokenizer(options, files);
  const corpus = loadCorpus(files, tokenizer, join(options.out, "corpus"));
  note(
    `${corpus.documents.length} documents, ${corpus.ids.length} tokens, ${tokenizer.vocabSize} pieces`,
  );
  const engine = openEngine(options);
  const preset = pretrainPreset(options.objective);
  const config = preset.config({ ...options, vocabSize: tokenizer.vocabSize, tokenizer });
  const store = new ParameterStore(engine, { rng: Rng.fromSeed(options.seed) });
  const model = new Model(
    store,
    describeModel({ family: preset.family, task: preset.task, config }),
  );
  const resume = start(model, corpus, options);
  train(model, corpus, objectiveOf(options, tokenizer), options, resume);
  const tokenizerFolder = options.tokenizer ?? options.out;
  saveModel(model, options.out, {
    dtype: options.dtype === "f16" ? "F16" : "F32",
    ...(tokenizerFolder === options.out ? {} : { tokenizerFolder }),
  });
  print(`wrote ${options.out}`);
}

/** Takes the tokenizer given, else the one trained earlier into the output folder, else trains one. */
function openTokenizer(options: Options, files: readonly string[]): Tokenizer {
  if (options.tokenizer !== undefined) return loadTokenizer(options.tokenizer);
  if (!existsSync(join(options.out, "tokenizer.json"))) {
    const lines = function* (): Generator<string> {
      for (const file of files) yield* paragraphsOf(readText(file));
    };
    note("training the vocabulary");
    const vocabulary = trainWordPiece(lines(), {
      vocabSize: options.vocabSize,
      lowerCase: true,
      minFrequency: options.minFrequency,
    });
    const { definition, config } = wordPieceFiles(vocabulary, {
      lowerCase: true,
      purpose: options.objective === "masked" ? "encoder" : "causal",
      maxTokens: pretrainPreset(options.objective).maxPositions,
    });
    writeJson(join(options.out, "tokenizer.json"), definition);
    writeJson(join(options.out, "tokenizer_config.json"), config);
  }
  return loadTokenizer(options.out);
}

function objectiveOf(options: Options, tokenizer: Tokenizer): Objective {
  if (options.objective === "causal") return causalObjective(tokenizer);
  const { maskProbability: probability, wholeWords, seed } = options;
  return maskedObjective(tokenizer, { probability, wholeWords, seed });
}

/** Restores the checkpoint, or gives the embedding its start. */
function start(model: Model, corpus: Corpus, options: Options): PretrainState | undefined {
  if (options.continue === true) {
    const folder = join(options.out, "checkpoint");
    const { values, state } = readCheckpoint(folder, settingsOf(options));
    overwrite(model.store.all(), values, { what: (name) => `${folder}: tensor ${name}` });
    note(`continuing after step ${state.trainer.step}`);
    return state;
  }
  if (options.localStart && options.objective === "masked") {
    startLocalAttention(model, localStartDefaults, Rng.fromSeed("local"));
  }
  if (options.svdStart) {
    note("computing the embedding start");
    const { vocabSize, width } = model.architecture;
    // The start belongs to the corpus, not to the run: its seed is fixed.
    const table = svdStart(corpus, { vocabSize, width, ...svdStartDefaults }, Rng.fromSeed("svd"));
    startEmbedding(model, table);
  }
  return undefined;
}

function train(
  model: Model,
  corpus: Corpus,
  objective: Objective,
  options: Options,
  resume: PretrainState | undefined,
): void {
  const logPath = join(options.out, "log.jsonl");
  if (resume === undefined) writeFileSync(logPath, "");
  const log = (record: object): void => appendFileSync(logPath, `${JSON.stringify(record)}\n`);
  const startMs = performance.now();
  const bar = progressBar("pretraining", options.steps, resume?.trainer.step ?? 0);
  let sum = 0;
  let count = 0;
  pretrain(
    model,
    corpus,
    objective,
    {
      steps: options.steps,
      batchSize: options.batchSize,
      windowTokens: options.length,
      peakRate: options.lr,
      warmupSteps: options.warmup,
      schedule: options.schedule,
      weightDecay: options.weightDecay,
      clipNorm: options.clip,
      seed: options.seed,
      evaluateEvery: options.evaluateEvery,
      checkpointEvery: options.checkpointEvery,
      heldOutFraction: options.heldOut,
    },
    {
      onStep({ step, loss, rate }) {
        sum += loss;
        count++;
        bar.update(step + 1, `loss ${loss.toFixed(3)}`);
        if (count < LOG_EVERY) return;
        const seconds = Math.round((performance.now() - startMs) / 1000);
        log({ step: step + 1, loss: Number((sum / count).toFixed(4)), rate, seconds });
        sum = count = 0;
      },
      onEvaluation(record) {
        log(record);
        const time = durationText(performance.now() - startMs);
        const { step, heldOutLoss } = record;
        bar.line(`step ${step}: held-out loss ${heldOutLoss.toFixed(4)} after ${time}`, note);
      },
      onCheckpoint(state) {
        const values = copyToHost(model.store.all());
        const settings = settingsOf(options);
        writeCheckpoint(join(options.out, "checkpoint"), { state, values, settings });
      },
    },
    resume,
  );
  bar.stop();
}

/** Steps whose mean loss makes one line of log.jsonl. */
const LOG_EVERY = 50;

/** Settings that a continuation must share; steps, rate and schedule may change. */
function settingsOf(options: Options): Record<string, unknown> {
  const { objective, layers, width, heads, inner, length, batchSize, seed } = options;
  return { objective, layers, width, heads, inner, length, batchSize, seed };
}
