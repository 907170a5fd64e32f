/** `fedspine eval`: score a model and adapter on labelled text or on plain text. */
import { Command, Option } from "commander";
import type { ThreadChoice } from "../../backend/threads/load.ts";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { evaluateClassifier, evaluateLanguageModel } from "../../train/evaluate.ts";
import { openSession } from "../model-session.ts";
import {
  baseDtypeOption,
  integer,
  kernelsOption,
  number,
  structureOption,
  threadsOption,
  type KernelChoice,
} from "../options.ts";
import { note, percent, print, printJson } from "../output.ts";
import { checkIds, readLabelledData, readLanguageData } from "../training-data.ts";

interface Options {
  model: string;
  adapter?: string;
  structure?: string;
  data: string;
  task: "classify" | "lm";
  part: "all" | "test";
  textColumn?: string;
  labelColumn?: string;
  testRatio: number;
  seed: number;
  batchSize: number;
  maxTokens?: number;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  threads: ThreadChoice;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Score a model and adapter: accuracy and macro-F1, or perplexity")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder")
    .addOption(structureOption())
    .requiredOption(
      "--data <path>",
      "CSV, TSV or JSONL file, or a folder with train and test parts",
    )
    .addOption(new Option("--task <task>").choices(["classify", "lm"]).default("classify"))
    .addOption(
      new Option("--part <part>", "which rows of the data to score")
        .choices(["all", "test"])
        .default("test", "test: a folder's test part, or all rows of a file without --test-ratio"),
    )
    .option("--text-column <name>", "column with the text (else detected)")
    .option("--label-column <name>", "column with the label (else detected)")
    .option("--test-ratio <share>", "share of a single file that was held out", number(0, 0.9), 0)
    .option("--seed <n>", "seed of the split", integer(0), 1)
    .option("--batch-size <n>", "examples per batch", integer(1), 16)
    .option("--max-tokens <n>", "longest input (default: the model's positions)", integer(2))
    .addOption(kernelsOption("auto"))
    .addOption(baseDtypeOption())
    .addOption(threadsOption("auto"))
    .option("--json", "one JSON line")
    .action(run);
}

function run(options: Options): void {
  const isClassifier = options.task === "classify";
  const data = isClassifier ? readLabelledData(options) : readLanguageData(options);
  data.notes.forEach(note);
  const session = openSession({ ...options, task: isClassifier ? "classify" : "causal-lm" });
  const { model } = session;
  const maxTokens = Math.min(options.maxTokens ?? session.maxTokens, session.maxTokens);
  const { train, heldOut } = data.encode(session.tokenizer, maxTokens, model.labels);
  const sequences =
    options.part === "all" || heldOut.length === 0 ? [...train, ...heldOut] : heldOut;
  checkIds(sequences, model.architecture.vocabSize);
  const settings = { batchSize: options.batchSize };
  if (isClassifier) {
    const { loss, accuracy, macroF1 } = evaluateClassifier(model, sequences, settings);
    if (options.json === true) {
      return printJson({ examples: sequences.length, loss, accuracy, macro_f1: macroF1 });
    }
    const scores = `accuracy ${percent(accuracy)}, macro-F1 ${percent(macroF1)}`;
    return print(`${sequences.length} examples: ${scores}, loss ${loss.toFixed(4)}`);
  }
  const { loss, perplexity, numTokens } = evaluateLanguageModel(model, sequences, settings);
  if (options.json === true) return printJson({ tokens: numTokens, loss, perplexity });
  print(`${numTokens} tokens: perplexity ${perplexity.toFixed(3)}, loss ${loss.toFixed(4)}`);
}
