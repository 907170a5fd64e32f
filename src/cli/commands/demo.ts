/** `fedspine demo`: the whole system on this machine, with real processes and an unequal fleet. */
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Command } from "commander";
import { BUNDLED_BASE } from "../bundled-base.ts";
import { CheckpointError, ConfigError, ExitCode } from "../../base/errors.ts";
import type { RunEvent } from "../../coordinator/run-events.ts";
import { trainBagOfWords } from "../../data/bag-of-words.ts";
import { accuracy } from "../../data/metrics.ts";
import { writeDataset } from "../../demo-data/write-dataset.ts";
import { generatedFleet, userFleet, type DemoFleet } from "../demo/fleet.ts";
import { closingLines, deviceTable, tryCommand, type DemoResult } from "../demo/report.ts";
import { runDemo } from "../demo/run.ts";
import { eventLine } from "../event-lines.ts";
import { integer, kernelsOption, number, type KernelChoice } from "../options.ts";
import { note, percent, print, printJson } from "../output.ts";
import { progressBar, silentProgress, type Progress } from "../progress.ts";

interface Options {
  data?: string;
  textColumn?: string;
  labelColumn?: string;
  model?: string;
  devices: number;
  rounds: number;
  steps: number;
  pruned: number;
  seed: number;
  out?: string;
  writeData?: string;
  broker?: string;
  kernels: KernelChoice;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Run the whole system here: broker, coordinator and unequal devices")
    .option("--data <path>", "your own labelled text: CSV, TSV, JSONL, or a folder with a split")
    .option("--text-column <name>", "column with the text (else detected)")
    .option("--label-column <name>", "column with the label (else detected)")
    .option("--model <dir>", "base model folder (default: the bundled one)")
    .option("--devices <n>", "device processes", integer(1), 6)
    .option("--rounds <n>", "federated rounds", integer(1), 13)
    .option("--steps <n>", "local steps per device and round", integer(1), 60)
    .option("--pruned <share>", "of each model's body, gone at the end", number(0, 0.9), 0.5)
    .option("--seed <n>", "seed of data, split and training", integer(0), 1)
    .option("--out <dir>", "run folder (default: runs/demo-<time>)")
    .option("--write-data <dir>", "only write the generated events there: train.tsv and test.tsv")
    .option("--broker <url>", "use this MQTT broker instead of the bundled one")
    .addOption(kernelsOption("auto"))
    .option("--json", "only the final record, as one JSON line")
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (options.writeData !== undefined) {
    const [numTrain, numTest] = [8000, 2000];
    writeDataset(options.writeData, { seed: options.seed, numTrain, numTest });
    print(`wrote ${numTrain} and ${numTest} synthetic events to ${options.writeData}`);
    return;
  }
  // Absolute, because the processes read paths relative to their configuration files.
  const base = resolve(options.model ?? BUNDLED_BASE);
  if (!existsSync(join(base, "config.json"))) {
    throw new CheckpointError(`no base model at ${base}`, { hint: "name one with --model" });
  }
  const folder = resolve(options.out ?? join("runs", `demo-${timestamp()}`));
  if (existsSync(join(folder, "run", "journal"))) {
    throw new ConfigError(`${folder} holds a run already`, { hint: "name another --out folder" });
  }
  const fleet =
    options.data === undefined
      ? generatedFleet(options.devices, options.seed)
      : userFleet(options.data, options.devices, options.seed, options);
  const say = options.json === true ? () => undefined : print;
  fleet.notes.forEach(say);
  const startMs = performance.now();
  if (options.kernels === "reference") {
    throw new ConfigError("--kernels reference is far too slow for a demo", {
      expected: "simd, relaxed or auto",
    });
  }
  const { kernels, rounds, steps, pruned, seed, broker = null } = options;
  const settings = { kernels, rounds, steps, pruned, seed, folder, base, broker };
  const progress = options.json === true ? silentProgress : progressBar("rounds", options.rounds);
  const summary = await runDemo(fleet, settings, {
    onEvent: (event) => follow(event, say, progress),
    onDeviceLost: (text) => progress.line(text, note),
  });
  progress.stop();
  const result: DemoResult = {
    summary: {
      ...summary,
      adapter: summary.adapter === null ? null : shown(summary.adapter),
      structures: summary.structures === null ? null : shown(summary.structures),
    },
    bagOfWordsAccuracy: bagOfWordsAccuracy(fleet, options.seed),
    base: shown(base),
    wallMs: performance.now() - startMs,
    sampleText: fleet.test.examples[0]?.text ?? "",
  };
  if (options.json === true) {
    const { wallMs, bagOfWordsAccuracy } = result;
    printJson({ ...result.summary, wallMs, bagOfWordsAccuracy, folder, tryIt: tryCommand(result) });
  } else {
    print(deviceTable(fleet, result));
    closingLines(result).forEach(print);
  }
  if (!summary.ok) process.exitCode = ExitCode.failed;
}

function follow(event: RunEvent, say: (line: string) => void, progress: Progress): void {
  const line = eventLine(event);
  if (line !== null) progress.line(line, say);
  if (event.kind === "evaluated") {
    progress.update(event.round, `accuracy ${percent(event.accuracy)}`);
  }
}

/** What a classifier without word order reaches when it may see all devices' text at once. */
function bagOfWordsAccuracy({ devices, test }: DemoFleet, seed: number): number {
  const examples = devices.flatMap((device) => device.examples);
  const classifier = trainBagOfWords({ examples, labels: test.labels }, { seed });
  const truth = test.examples.map(({ label }) => test.labels.indexOf(label));
  const predicted = test.examples.map(({ text }) => classifier.predict(text));
  return accuracy(truth, predicted);
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

function timestamp(): string {
  return new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
}
