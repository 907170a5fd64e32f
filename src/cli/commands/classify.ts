/** `fedspine classify`: labels and their probabilities for texts. */
import { createInterface } from "node:readline";
import { Command } from "commander";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { ConfigError } from "../../base/errors.ts";
import { argmax, classLogits, probabilities } from "../../train/evaluate.ts";
import { openSession } from "../model-session.ts";
import { baseDtypeOption, kernelsOption, structureOption, type KernelChoice } from "../options.ts";
import { percent, print, printJson } from "../output.ts";

interface Options {
  model: string;
  adapter?: string;
  structure?: string;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Classify texts given as arguments, or one per line on standard input")
    .argument("[text...]", "texts to classify")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors and head")
    .addOption(structureOption())
    .addOption(kernelsOption("auto"))
    .addOption(baseDtypeOption())
    .option("--json", "one JSON line per text: text, label, probability, probabilities")
    .action(run);
}

async function run(given: string[], options: Options): Promise<void> {
  const texts = given.length > 0 ? given : await linesOfStdin();
  const session = openSession({ ...options, task: "classify" });
  const { model, maxTokens } = session;
  const tokenizer = session.tokenizer();
  const sequences = texts.map((text) => ({ ids: tokenizer.encode(text, { maxTokens }).ids }));
  const logits = classLogits(model, sequences, { batchSize: 16 });
  texts.forEach((text, i) => {
    const scores = probabilities(logits[i] as Float32Array);
    const best = argmax(scores);
    const label = model.labels[best] as string;
    if (options.json === true) {
      const byLabel = Object.fromEntries(model.labels.map((name, k) => [name, scores[k]]));
      printJson({ text, label, probability: scores[best], probabilities: byLabel });
    } else {
      print(`${label}\t${percent(scores[best] as number)}\t${text}`);
    }
  });
}

async function linesOfStdin(): Promise<string[]> {
  if (process.stdin.isTTY) {
    throw new ConfigError("classify: there is no text", {
      expected: "texts as arguments, or lines on standard input",
    });
  }
  const lines: string[] = [];
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== "") lines.push(line);
  }
  return lines;
}
