/** `fedspine bench`: how fast this machine trains, whole and pruned, and what that makes of it in a simulated fleet. */
import { cpus, totalmem } from "node:os";
import Table from "cli-table3";
import { Command } from "commander";
import { stringify } from "yaml";
import type { ThreadChoice } from "../../backend/threads/load.ts";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { BUNDLED_BASE } from "../bundled-base.ts";
import {
  baseDtypeOption,
  integer,
  kernelsOption,
  number,
  threadsOption,
  type KernelChoice,
} from "../options.ts";
import { threadsText } from "../open-engine.ts";
import { byteText, durationText, note, percent, print, printJson } from "../output.ts";
import { measureStep, type MeasuredStep, type StepCase } from "../step-bench.ts";

interface Options {
  model: string;
  rank: number;
  sparsity: number;
  seconds: number;
  profile?: boolean;
  type?: string;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  threads: ThreadChoice;
  json?: boolean;
}

const SIZES = [
  { batchSize: 8, numTokens: 32 },
  { batchSize: 16, numTokens: 64 },
] as const;

export function command(): Command {
  return new Command()
    .description("Measure training steps on this machine, whole and pruned")
    .option("--model <dir>", "Hugging Face model folder (default: the bundled base)", BUNDLED_BASE)
    .option("--rank <r>", "LoRA rank, on all linear layers", integer(1), 8)
    .option("--sparsity <share>", "body sparsity of the pruned model", number(0, 0.99), 0.5)
    .option("--seconds <n>", "time for each measurement", number(0.01), 3)
    .option("--profile", "print this machine as a board of a simulated fleet, in YAML")
    .option("--type <name>", "name of the board (default: the processor's)")
    .addOption(kernelsOption())
    .addOption(baseDtypeOption())
    .addOption(threadsOption(1))
    .option("--json", "one JSON line")
    .action(run);
}

function run(options: Options): void {
  const sparsities = options.profile === true ? [0] : [0, options.sparsity];
  const cases = SIZES.flatMap((size) => sparsities.map((sparsity) => ({ ...size, sparsity })));
  const steps = cases.map((each) => measured(each, options));
  const board = boardOf(steps, options);
  if (options.json === true) printJson({ board, steps });
  else if (options.profile === true) printBoard(board);
  else printTable(steps);
}

function measured(step: StepCase, options: Options): MeasuredStep {
  const { batchSize, numTokens, sparsity } = step;
  note(`measuring ${batchSize} x ${numTokens} tokens at sparsity ${sparsity}`);
  return measureStep(step, { ...options, durationMs: 1000 * options.seconds });
}

/** In the form of a fleet's file. */
function boardOf(steps: readonly MeasuredStep[], { type, rank }: Options) {
  const whole = steps.filter(({ sparsity }) => sparsity === 0);
  const speeds = whole.map(({ secondsPerGflop }) => Number(secondsPerGflop.toPrecision(3)));
  const sizes = whole.map(({ batchSize, numTokens }) => `${batchSize} x ${numTokens}`).join(", ");
  const [first] = whole;
  return {
    type: (type ?? cpus()[0]?.model.trim()) || "unknown",
    count: 1,
    cores: cpus().length,
    memoryBytes: totalmem(),
    secondsPerGflop: [Math.min(...speeds), Math.max(...speeds)],
    source: `fedspine bench: ${sizes} tokens, rank ${rank}, ${first?.kernels ?? "no"} kernels, ${threadsText(first?.threads ?? 1)}`,
  };
}

function printBoard(board: ReturnType<typeof boardOf>): void {
  print(stringify({ boards: [board] }, { flowCollectionPadding: false }).trimEnd());
  note("add links to make a fleet of it; several boards share a fleet by their counts");
}

function printTable(steps: readonly MeasuredStep[]): void {
  const table = new Table({
    head: ["batch", "sparsity", "step", "GFLOP", "s per GFLOP", "memory", "counted", "faster"],
    style: { head: [], border: [] },
    colAligns: ["left", ...Array<"right">(7).fill("right")],
  });
  for (const step of steps) {
    const { batchSize, numTokens, gflopsPerStep, secondsPerGflop, stepMs } = step;
    const whole = steps.find(
      (other) => other.numTokens === numTokens && other.sparsity === 0 && other !== step,
    );
    table.push([
      `${batchSize} x ${numTokens}`,
      percent(step.sparsity),
      durationText(stepMs),
      gflopsPerStep.toFixed(2),
      secondsPerGflop.toFixed(4),
      byteText(step.heldBytes),
      byteText(step.countedBytes),
      whole === undefined ? "" : `${(whole.stepMs / stepMs).toFixed(2)} x`,
    ]);
  }
  print(table.toString());
}
