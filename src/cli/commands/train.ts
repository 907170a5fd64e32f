/** `fedspine train`: fine-tune a model with LoRA on one machine. */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command, Option } from "commander";
import { ConfigError } from "../../base/errors.ts";
import type { Sequence } from "../../data/batch.ts";
import { LORA_DEFAULTS } from "../../lora/lora.ts";
import type { TargetPattern } from "../../lora/targets.ts";
import { storedLabels } from "../../models/description.ts";
import { AdaptedModel } from "../../train/adapted-model.ts";
import { readCheckpoint, writeCheckpoint } from "../../train/checkpoint.ts";
import { EarlyStop } from "../../train/early-stop.ts";
import { evaluateClassifier, evaluateLanguageModel } from "../../train/evaluate.ts";
import { FINE_TUNE_DEFAULTS, FineTuner, stepsForEpochs } from "../../train/fine-tune.ts";
import { SCHEDULES } from "../../train/schedule.ts";
import { fittingValues, readAdapter, saveAdapter, type StoredAdapter } from "../adapter-folder.ts";
import { openSession, type ModelSession } from "../model-session.ts";
import {
  baseDtypeOption,
  integer,
  kernelsOption,
  number,
  numberOrOff,
  onOff,
  structureOption,
  threadsOption,
} from "../options.ts";
import { note, percent, printJson } from "../output.ts";
import { threadsText } from "../open-engine.ts";
import { progressBar } from "../progress.ts";
import { checkCombinations, settingsOf, type TrainOptions } from "../train-options.ts";
import { checkIds, readLabelledData, readLanguageData } from "../training-data.ts";

export function command(): Command {
  const d = FINE_TUNE_DEFAULTS;
  return new Command()
    .description("Fine-tune a model with LoRA on one machine")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .requiredOption(
      "--data <path>",
      "CSV, TSV or JSONL file, or a folder with train and test parts",
    )
    .addOption(
      new Option("--task <task>", "what to learn").choices(["classify", "lm"]).default("classify"),
    )
    .option("--text-column <name>", "column with the text (else detected)")
    .option("--label-column <name>", "column with the label (else detected)")
    .option("--test-ratio <share>", "share of a single file to hold out", number(0, 0.9), 0)
    .option("--max-tokens <n>", "longest input (default: the model's positions)", integer(2))
    .option("--rank <r>", "LoRA rank", integer(1), LORA_DEFAULTS.rank)
    .option(
      "--alpha <a>",
      "LoRA alpha; the pair counts alpha / rank (default: 2 x rank)",
      number(0),
    )
    .option(
      "--targets <names>",
      "layers to adapt: names as q_proj,v_proj, or all-linear (default: query and value)",
    )
    .option("--dropout <p>", "drop rate on the low-rank path", number(0, 0.99), 0)
    .option("--train-head <on|off>", "train the classification head too", onOff, true)
    .option("--init-adapter <path>", "start from these factors: PEFT folder or safetensors file")
    .addOption(structureOption())
    .option("--random-weights", "start the base at random: the control of an experiment")
    .option("--steps <n>", "updates to make (default: from --epochs)", integer(1))
    .option("--epochs <n>", "passes over the data", number(0.001), 3)
    .option("--batch-size <n>", "examples per batch", integer(1), d.batchSize)
    .option("--accumulate <n>", "batches per update", integer(1), d.accumulation)
    .option("--lr <rate>", "peak learning rate", number(0), d.peakRate)
    .addOption(
      new Option("--schedule <kind>", "decay of the rate").choices(SCHEDULES).default(d.schedule),
    )
    .option("--warmup <n>", "steps of linear warm-up", integer(0), d.warmupSteps)
    .option("--clip <norm|off>", "bound of the gradient norm", numberOrOff, d.clipNorm)
    .option("--weight-decay <w>", "AdamW weight decay", number(0), d.weightDecay)
    .option("--seed <n>", "seed of everything random", integer(0), d.seed)
    .option("--shuffle <on|off>", "shuffle and bucket by length", onOff, d.shuffle)
    .option("--eval-every <n>", "evaluate on the held-out part every n steps", integer(1))
    .option("--patience <n>", "stop after n evaluations without a better loss", integer(1))
    .option("--checkpoint-every <n>", "save a state to resume from every n steps", integer(1))
    .option("--resume", "continue from the checkpoint in --out")
    .addOption(kernelsOption())
    .addOption(baseDtypeOption())
    .addOption(threadsOption("auto"))
    .option("--out <dir>", "folder for the adapter (PEFT) and checkpoints")
    .option("--log <file>", 'one JSON line per step: {"step","loss",...}')
    .option("--json", "one JSON line at the end")
    .action(run);
}

function run(options: TrainOptions): void {
  const isClassifier = options.task === "classify";
  const data = isClassifier ? readLabelledData(options) : readLanguageData(options);
  data.notes.forEach(note);
  const initial =
    options.initAdapter === undefined ? null : readAdapter(options.initAdapter, alphaOf(options));
  const session = openSession({
    model: options.model,
    kernels: options.kernels,
    baseDtype: options.baseDtype,
    threads: options.threads,
    task: isClassifier ? "classify" : "causal-lm",
    seed: options.seed,
    ...(isClassifier ? { labels: headOrder(data.labels, storedLabels(options.model)) } : {}),
    ...(options.randomWeights === true ? { randomWeightsSeed: options.seed } : {}),
    ...(options.structure === undefined ? {} : { structure: options.structure }),
    ...(initial === null ? {} : { initAdapter: initial }),
  });
  const { model } = session;
  const maxTokens = Math.min(options.maxTokens ?? session.maxTokens, session.maxTokens);
  const { train, heldOut } = data.encode(session.tokenizer, maxTokens, model.labels);
  checkIds([...train, ...heldOut], model.architecture.vocabSize);
  checkCombinations(options, heldOut.length > 0);
  const adapted = attach(session, options, initial);
  const tuner = new FineTuner(model, adapted.parameters(), train, {
    steps:
      options.steps ??
      stepsForEpochs(train.length, options.epochs, {
        batchSize: options.batchSize,
        accumulation: options.accumulate,
      }),
    batchSize: options.batchSize,
    accumulation: options.accumulate,
    peakRate: options.lr,
    schedule: options.schedule,
    warmupSteps: options.warmup,
    clipNorm: options.clip,
    weightDecay: options.weightDecay,
    seed: options.seed,
    shuffle: options.shuffle,
  });
  const scores = loop(session, adapted, tuner, heldOut, options);
  if (options.out !== undefined) {
    saveAdapter(options.out, model, adapted.shape, adapted.export(), options.model);
    note(`adapter: ${options.out}`);
  }
  if (options.json === true) {
    const { variant: kernels, threads } = session.engine;
    printJson({ steps: tuner.stepCount, kernels, threads, ...scores });
  }
}

/** The data's labels, in the order of the model's own head where that knows the same ones. */
function headOrder(labels: readonly string[], stored: readonly string[]): readonly string[] {
  const isSame = stored.length === labels.length && labels.every((label) => stored.includes(label));
  return isSame ? stored : labels;
}

/** Trains to the end or the early stop and returns what to report. */
function loop(
  session: ModelSession,
  adapted: AdaptedModel,
  tuner: FineTuner,
  heldOut: readonly Sequence[],
  options: TrainOptions,
): Record<string, unknown> {
  const { engine } = session;
  const settings = settingsOf(options);
  const folder = options.out === undefined ? undefined : join(options.out, "checkpoint");
  if (options.resume === true && folder !== undefined) {
    const checkpoint = readCheckpoint(folder, settings);
    adapted.load(checkpoint.values, folder);
    tuner.restore(checkpoint.state);
    note(`continuing after step ${tuner.stepCount}`);
  }
  const log = openLog(options.log, options.resume === true);
  const early = new EarlyStop(options.patience ?? Infinity);
  const bar = progressBar("training", tuner.totalSteps, tuner.stepCount);
  const startMs = performance.now();
  let lastLoss = NaN;
  let stepPeakBytes = 0;
  let evaluation: Record<string, unknown> = {};
  while (!tuner.isDone && !early.isOver) {
    const result = tuner.step();
    lastLoss = result.loss;
    stepPeakBytes = Math.max(stepPeakBytes, result.stepPeakBytes);
    const done = tuner.stepCount;
    const isDue = options.evalEvery !== undefined && done % options.evalEvery === 0;
    if (heldOut.length > 0 && (isDue || done === tuner.totalSteps)) {
      const scores = evaluate(session, heldOut);
      evaluation = scores;
      early.report(scores.loss);
      bar.line(`step ${done}: held-out ${scoreText(scores)}`, note);
    }
    log({
      step: result.step,
      loss: result.loss,
      gradient_norm: result.gradientNorm,
      lr: result.rate,
    });
    bar.update(done, `loss ${result.loss.toFixed(4)}`);
    if (folder !== undefined && options.checkpointEvery !== undefined) {
      if (done % options.checkpointEvery === 0) {
        writeCheckpoint(folder, { state: tuner.export(), values: adapted.export(), settings });
      }
    }
  }
  bar.stop();
  const seconds = (performance.now() - startMs) / 1000;
  note(
    `${tuner.stepCount} steps in ${seconds.toFixed(1)} s on ${engine.variant} kernels, ` +
      `${threadsText(engine.threads)}, ` +
      `last loss ${lastLoss.toFixed(4)}, step memory ${(stepPeakBytes / 1e6).toFixed(1)} MB`,
  );
  return { loss: lastLoss, seconds, step_peak_bytes: stepPeakBytes, held_out: evaluation };
}

function alphaOf({ alpha, rank }: TrainOptions): number {
  return alpha ?? 2 * rank;
}

/** Attaches the factors that training starts from: fresh ones, or the stored ones. */
function attach(
  { model }: ModelSession,
  options: TrainOptions,
  initial: StoredAdapter | null,
): AdaptedModel {
  const targets: TargetPattern =
    options.targets === undefined
      ? model.family.defaultTargets
      : options.targets === "all-linear"
        ? "all-linear"
        : options.targets.split(",");
  const adapted = AdaptedModel.attach(model, {
    lora: {
      rank: options.rank,
      alpha: alphaOf(options),
      targets,
      dropout: options.dropout,
    },
    trainHead: options.trainHead,
    seed: options.seed,
  });
  if (initial !== null) {
    const { path, peft } = initial;
    if (peft.alpha / peft.rank !== alphaOf(options) / options.rank) {
      throw new ConfigError(`--init-adapter: the factors of ${path} count otherwise`, {
        expected: `--rank ${peft.rank} --alpha ${peft.alpha}`,
        got: `--rank ${options.rank} --alpha ${alphaOf(options)}`,
      });
    }
    adapted.load(fittingValues(model, initial), path);
  }
  return adapted;
}

function evaluate(
  { model }: ModelSession,
  heldOut: readonly Sequence[],
): { loss: number; accuracy?: number; macro_f1?: number; perplexity?: number } {
  const options = { batchSize: 16 };
  if (model.task === "classify") {
    const { loss, accuracy, macroF1 } = evaluateClassifier(model, heldOut, options);
    return { loss, accuracy, macro_f1: macroF1 };
  }
  const { loss, perplexity } = evaluateLanguageModel(model, heldOut, options);
  return { loss, perplexity };
}

function scoreText(scores: ReturnType<typeof evaluate>): string {
  const loss = `loss ${scores.loss.toFixed(4)}`;
  if (scores.accuracy === undefined) return `${loss}, perplexity ${scores.perplexity?.toFixed(2)}`;
  return `${loss}, accuracy ${percent(scores.accuracy)}, macro-F1 ${percent(scores.macro_f1 ?? 0)}`;
}

function openLog(path: string | undefined, append: boolean): (record: object) => void {
  if (path === undefined) return () => undefined;
  mkdirSync(dirname(path), { recursive: true });
  if (!append) writeFileSync(path, "");
  return (record) => appendFileSync(path, `${JSON.stringify(record)}\n`);
}
