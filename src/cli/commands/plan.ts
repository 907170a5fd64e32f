/** `fedspine plan`: what training a model would take on a device, before anything of it is tried. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import { Command } from "commander";
import { parse } from "yaml";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { ConfigError } from "../../base/errors.ts";
import { fullStructure } from "../../base/structure.ts";
import { uniformStructure } from "../../cost/approximate.ts";
import { stepFlops } from "../../cost/flops.ts";
import { trainingMemory } from "../../cost/memory.ts";
import { bodySparsity } from "../../cost/parameters.ts";
import { agentBytes, processBytes } from "../../cost/process.ts";
import { readModelShape } from "../../models/shape.ts";
import { BUNDLED_BASE } from "../bundled-base.ts";
import { baseDtypeOption, integer, kernelsOption, number, type KernelChoice } from "../options.ts";
import { byteText, durationText, note, percent, print, printJson } from "../output.ts";
import { measureStep } from "../step-bench.ts";

interface Options {
  model: string;
  batch: number;
  length: number;
  rank: number;
  prune: number;
  targets: string;
  classes: number;
  baseDtype: BaseDtype;
  recompute?: boolean;
  profile?: string;
  measure?: boolean;
  kernels: KernelChoice;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Forecast what training a model takes: memory by kind, and time from a profile")
    .option("--model <dir>", "Hugging Face model folder (default: the bundled base)", BUNDLED_BASE)
    .option("--batch <n>", "sequences in a batch", integer(1), 8)
    .option("--length <n>", "tokens in the longest sequences", integer(1), 64)
    .option("--rank <r>", "LoRA rank", integer(1), 8)
    .option("--targets <names>", "layers with an adapter: all-linear, or suffixes", "all-linear")
    .option("--prune <share>", "of the body, gone", number(0, 0.99), 0)
    .option("--classes <n>", "of the classifier", integer(2), 4)
    .addOption(baseDtypeOption())
    .option("--recompute", "run blocks again instead of keeping what they computed")
    .option("--profile <file>", "what `fedspine bench --profile` printed on the device")
    .option("--measure", "train some steps here as well, and set both side by side")
    .addOption(kernelsOption("auto"))
    .option("--json", "one JSON line")
    .action(run);
}

function run(options: Options): void {
  const forecast = forecastOf(options);
  const measured = options.measure === true ? measure(options) : undefined;
  if (options.json === true) return printJson({ ...forecast, ...(measured && { measured }) });
  const table = new Table({
    head: ["", "forecast", ...(measured === undefined ? [] : ["measured"])],
    style: { head: [], border: [] },
    colAligns: ["left", "right", "right"],
  });
  const { bytes, secondsPerStep } = forecast;
  const row = (name: string, counted: string, found = ""): void =>
    void table.push([name, counted, ...(measured === undefined ? [] : [found])]);
  row(`weights, ${options.baseDtype}`, byteText(bytes.weights));
  row("adapters, gradients, moments", byteText(bytes.state));
  row("activations at their peak", byteText(bytes.step));
  row("engine at its peak", byteText(bytes.engine), measured && byteText(measured.engineBytes));
  row("whole process", byteText(bytes.process));
  const time = secondsPerStep === undefined ? "give --profile" : rangeText(secondsPerStep);
  row("one step", time, measured && durationText(1000 * measured.secondsPerStep));
  print(
    `${options.batch} x ${options.length} tokens, rank ${options.rank} on ${options.targets}, ` +
      `sparsity ${percent(forecast.sparsity)}, ${forecast.gflopsPerStep.toFixed(2)} GFLOP a step`,
  );
  print(table.toString());
}

function forecastOf(options: Options) {
  const { model, batch, length, rank, prune, baseDtype, recompute = false } = options;
  const shape = readModelShape(model, labelsOf(options));
  const structure = prune === 0 ? fullStructure(shape.units) : uniformStructure(shape, prune);
  const setup = {
    ...{ structure, rank, targets: targetsOf(options), batchSize: batch, numTokens: length },
    ...{ trainHead: true, dropout: 0, scoresUnits: false, recompute, baseDtype },
  };
  const { peak: engine, ...parts } = trainingMemory(shape, setup);
  const { forward, backward } = stepFlops(shape, setup);
  const gflopsPerStep = (forward + backward) / 1e9;
  const tokenizer = statSync(join(model, "tokenizer.json"), { throwIfNoEntry: false })?.size ?? 0;
  const process = processBytes(agentBytes(tokenizer), { ...parts, peak: engine });
  const speeds = options.profile === undefined ? undefined : speedsOf(options.profile);
  return {
    bytes: { ...parts, engine, process },
    ...(speeds && { secondsPerStep: speeds.map((each) => each * gflopsPerStep) }),
    gflopsPerStep,
    sparsity: bodySparsity(shape, structure),
  };
}

function measure(options: Options): { engineBytes: number; secondsPerStep: number } {
  const { model, batch, length, rank, prune, baseDtype, kernels, recompute = false } = options;
  note("measuring some steps; those of other processes count as well");
  const { heldBytes, stepMs } = measureStep(
    { batchSize: batch, numTokens: length, sparsity: prune },
    {
      ...{ model, rank, kernels, baseDtype, recompute, targets: targetsOf(options) },
      ...{ threads: 1, durationMs: 2000 },
    },
  );
  return { engineBytes: heldBytes, secondsPerStep: stepMs / 1000 };
}

function targetsOf({ targets }: Options): "all-linear" | string[] {
  return targets === "all-linear" ? targets : targets.split(",");
}

function labelsOf({ classes }: Options): string[] {
  return Array.from({ length: classes }, (_, i) => String(i));
}

/** Least and most seconds per GFLOP of the only board. Throws ConfigError for another file. */
function speedsOf(path: string): readonly number[] {
  const content = parse(readFileSync(path, "utf8")) as {
    boards?: { secondsPerGflop?: unknown }[];
  } | null;
  const speeds = content?.boards?.[0]?.secondsPerGflop;
  const list = Array.isArray(speeds) ? speeds.map(Number) : [Number(speeds)];
  if (content?.boards?.length === 1 && list.every((each) => each > 0)) return list;
  throw new ConfigError(`${path}: not the profile of a machine`, {
    expected: "one board with secondsPerGflop",
    hint: "fedspine bench --profile > board.yaml, on the device",
  });
}

function rangeText(seconds: readonly number[]): string {
  const [least, most] = [Math.min(...seconds), Math.max(...seconds)].map((each) =>
    durationText(1000 * each),
  );
  return least === most ? `${least}` : `${least} to ${most}`;
}
