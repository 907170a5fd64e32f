/** The document that goes with the results: tables, charts, how they came about, and what is ours and not the paper's. */
import { cpus, totalmem } from "node:os";
import { byteText } from "../../src/base/quantity-text.ts";
import type { BlockResults } from "./block-results.ts";
import { EMULATED, type Scale } from "./cells.ts";
import { checkClaims } from "./claims.ts";
import type { Measurement } from "./measure.ts";
import { methods, RANK, RANKS } from "./methods.ts";
import type { PlotFile } from "./plots.ts";
import {
  blockHeading,
  blockTable,
  claimTable,
  comparisonTable,
  markdownTable,
  measurementTable,
} from "./tables.ts";

export interface Report {
  readonly scale: Scale;
  readonly datasets: readonly string[];
  readonly seeds: readonly number[];
  readonly command: string;
  readonly commit: string;
  readonly blocks: readonly BlockResults[];
  readonly measurements: readonly Measurement[];
  readonly plots: readonly PlotFile[];
  readonly numDone: number;
  readonly numCells: number;
  /** What a reader has to know of this run in particular, one sentence each. */
  readonly notes: readonly string[];
}

/** Claims and tables alone: what a quick run prints. */
export function tablesText({ blocks, measurements }: Report): string {
  return [
    claimsSection(blocks, measurements),
    ...(measurements.length === 0 ? [] : [measurementSection(measurements)]),
    comparisonSection(blocks),
    ...blocksWithResults(blocks).map(blockSection),
  ].join("\n\n");
}

/** The whole document, in Markdown. */
export function readmeText(report: Report): string {
  const { plots, numDone, numCells, notes, command } = report;
  const charts = plots.map(({ name, title }) => `### ${title}\n\n![${title}](${name}.svg)`);
  return [
    "# Reproduction of FedSpine",
    wrapped(
      'What the method of "Efficient Deployment of Large Language Models on Resource-constrained Devices" ' +
        "(Yao et al., arXiv 2501.02438) does in this implementation, on public text sets and a simulated " +
        `fleet, beside what the paper claims. ${numDone} of ${numCells} runs of the grid are in.`,
    ),
    ...notes.map((note) => wrapped(note)),
    tablesText(report),
    ...(charts.length === 0 ? [] : ["## Charts", ...charts]),
    "## How this was made",
    `\`\`\`sh\n${command}\n\`\`\``,
    conditions(report)
      .map((condition) => wrapped(condition, "- "))
      .join("\n"),
    "## Methods",
    markdownTable(
      [
        { name: "method", cell: ({ name }) => name, isText: true },
        { name: "role", cell: ({ role }) => role, isText: true },
        { name: "what it is here", cell: ({ what }) => what, isText: true },
      ],
      methods,
    ),
    wrapped(
      "All have the same final body sparsity, local steps, participation, LoRA targets and ratio of alpha " +
        `to rank; where ranks differ between devices, they are ${RANKS.join(", ")}, else ${RANK}. Baselines are our ` +
        "implementations on our engine, not their authors' code; HetLoRA's ranks are drawn per round. " +
        "Ranks, the width of the corridor and the rule of merging were chosen after short runs on TREC and HWU64, seed 1, and their " +
        "test parts: those two are not untouched data.",
    ),
    "## What is reconstructed",
    wrapped(
      "Only the abstract and summaries of the paper were available, not its equations, tables or task " +
        "names. From the paper: pruning and tuning in turns, heads and channels, importance from adapter " +
        "gradients with a moving average, a bandit per device over sparsity and rank, aggregation over " +
        "different ranks and structures, 20 local steps, 80 devices of three kinds. Ours: the reward, the " +
        "cubic schedule and its corridor, the Fisher form of the scores, the exact stacked aggregation, " +
        "all hyperparameters. The paper tunes RoBERTa and LLaMA-7B on GPUs; this is a small encoder on a " +
        'simulated fleet. A verdict of "not reproduced" says that this implementation does not show the ' +
        "effect under these conditions, no more.",
    ),
    "",
  ].join("\n\n");
}

/** What the numbers hold for, one paragraph each. */
function conditions({ scale, datasets, seeds, commit }: Report): string[] {
  return [
    `**Commit** ${commit}. **Machine**: ${machineText()}. Accuracy, virtual time, bytes and operations ` +
      "depend on settings and seeds alone; only inference time and memory depend on the machine.",
    `**Seeds** ${seeds.join(", ")}: data split, fleet, selection, training. \`results.json\` has every run ` +
      "with all its settings, `curves.csv` every scored round.",
    `**Data**: ${datasets.join(", ")}; at most ${scale.trainExamples} training examples over ${scale.devices} devices, ` +
      `${scale.testExamples} test examples, labels dealt out by a Dirichlet distribution.`,
    `**Fleet**: \`jetson-80\` of \`src/simulation/built-in-fleets.ts\` with ${scale.devices} devices, ` +
      `${scale.perRound} of them asked per round, ${scale.rounds} rounds of ${scale.steps} steps of ` +
      `${scale.batchSize} examples. Every device has the base already.`,
    `**Time** is that of the simulated fleet, as if its base were the paper's: an unpruned step takes ` +
      `${EMULATED.gflopsPerStep} billion operations and an unpruned update ${byteText(EMULATED.updateBytes)}, as of ` +
      "RoBERTa-base with 16 x 128 tokens and rank 8 on all linear layers, and what pruning and rank save is " +
      "in proportion. Bytes and operations in the tables are the bundled base's own.",
    "**Base**: the bundled encoder (`models/base-encoder`, 3.4 M parameters), LoRA on all linear layers, " +
      `AdamW with a rate that falls to a tenth over the rounds. ${rateText(scale)}`,
    "**Accuracy** is the mean over devices of their own pruned model with the global adapter, on the common " +
      `test examples; the last round scores all devices that are pruned, earlier ones ${scale.evaluateDevices} of ` +
      `them, every ${scale.evaluateEvery} rounds. **Worst device** is the lowest of these. The **target** of a ` +
      "block is the lowest final accuracy among its methods, controls left out, on curves smoothed over three " +
      "scores, so that every compared method has a time; it is reached where the curve rises above it for good.",
    "± is the standard deviation over seeds; for costs in per cent of the mean. **Waiting** is the mean over " +
      "rounds and devices of the time until the round's slowest device is done.",
  ];
}

const WIDTH = 100;

/** Lines of at most {@link WIDTH} characters; `bullet` stands before the first and its width before the rest. */
function wrapped(text: string, bullet = ""): string {
  const lines = [bullet];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    const isFresh = line.trim() === bullet.trim() || line.trim() === "";
    if (!isFresh && line.length + 1 + word.length > WIDTH)
      lines.push(" ".repeat(bullet.length) + word);
    else lines[lines.length - 1] = isFresh ? line + word : `${line} ${word}`;
  }
  return lines.join("\n");
}

function claimsSection(
  blocks: readonly BlockResults[],
  measurements: readonly Measurement[],
): string {
  return `## Claims\n\n${claimTable(checkClaims(blocks, measurements))}`;
}

function measurementSection(measurements: readonly Measurement[]): string {
  return `## Inference time and training memory\n\n${measurementTable(measurements)}`;
}

function comparisonSection(blocks: readonly BlockResults[]): string {
  return (
    "## Ours against pruning baselines\n\n" +
    "How much sooner ours reaches the target, and how many points more its final accuracy is.\n\n" +
    comparisonTable(blocks)
  );
}

function blockSection(results: BlockResults): string {
  return `## ${blockHeading(results)}\n\n${blockTable(results)}`;
}

function blocksWithResults(blocks: readonly BlockResults[]): BlockResults[] {
  return blocks.filter(({ rows }) => rows.some(({ traces }) => traces.length > 0));
}

function rateText({ tuningRounds }: Scale): string {
  if (tuningRounds === 0) return "The learning rate is the same for all methods.";
  return `Each method's learning rate is the best of three in runs of ${tuningRounds} rounds with a fifth of the fleet, on a seed of their own.`;
}

function machineText(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return `${cpus().length} cores of ${model}, ${byteText(totalmem())}, Node ${process.version}`;
}
