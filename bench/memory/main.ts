/**
 * Peak memory of a whole device process that trains LoRA factors, by model: figures of docs/memory.md.
 *
 *   node dist/bench/memory/main.js [--shapes tiny,small,base] [--flags "--v8 flags"] [--steps 6] [--rounds 2]
 *
 * One JSON line per model.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { baseDtypes } from "../../src/base/base-dtype.ts";
import { fullStructure } from "../../src/base/structure.ts";
import { SMALL_ENVIRONMENT, DEVICE_FLAGS } from "../../src/cli/small-heap.ts";
import { trainingMemory } from "../../src/cost/memory.ts";
import { agentBytes, processBytes } from "../../src/cost/process.ts";
import { readModelShape } from "../../src/models/shape.ts";
import type { TrainPlan } from "../../src/protocol/messages.ts";
import { examplesOf, writeModelFolder } from "./model-folder.ts";
import type { MemoryJob, MemoryReport } from "./process.ts";
import { memoryShapes, type MemoryShape } from "./shapes.ts";

const { values: args } = parseArgs({
  options: {
    shapes: { type: "string", default: Object.keys(memoryShapes).join() },
    /** Instead of those that an agent is started with. */
    flags: { type: "string", default: DEVICE_FLAGS.join(" ") },
    targets: { type: "string", default: "query,value" },
    batch: { type: "string", default: "8" },
    tokens: { type: "string", default: "64" },
    rank: { type: "string", default: "8" },
    steps: { type: "string", default: "6" },
    "base-dtype": { type: "string", default: "f32" },
    recompute: { type: "boolean", default: false },
    rounds: { type: "string", default: "2" },
    /** Keeps the model folders there, for the next time. */
    folder: { type: "string" },
  },
});

const baseDtype = baseDtypes.find((name) => name === args["base-dtype"]) ?? "f32";
const LABELS = ["a", "b", "c", "d"];
const plan: TrainPlan = {
  ...{ rank: Number(args.rank), alpha: 16, dropout: 0, trainHead: true, trainA: true },
  targets: args.targets === "all-linear" ? "all-linear" : args.targets.split(","),
  ...{ steps: Number(args.steps), batchSize: Number(args.batch), maxTokens: Number(args.tokens) },
  ...{ recompute: args.recompute, learningRate: 1e-3, seed: 1, labels: LABELS },
  ...{ pruning: null, start: "continue", selfPruning: null },
};

const root = args.folder ?? mkdtempSync(join(tmpdir(), "fedspine-memory-"));
try {
  for (const key of args.shapes.split(",")) {
    const shape = memoryShapes[key];
    if (shape === undefined) throw new Error(`no shape ${key}`);
    const report = measure(key, shape);
    const forecastBytes = forecast(join(root, key));
    const { name, aimBytes } = shape;
    console.log(JSON.stringify({ shape: name, aimBytes, forecastBytes, ...report }));
  }
} finally {
  if (args.folder === undefined) rmSync(root, { recursive: true });
}

/** What `fedspine plan` says about the whole process. */
function forecast(folder: string): number {
  const shape = readModelShape(folder, LABELS);
  const { rank, targets, batchSize, maxTokens: numTokens, trainHead, dropout } = plan;
  const memory = trainingMemory(shape, {
    ...{ rank, targets, batchSize, numTokens, trainHead, dropout, baseDtype },
    ...{ structure: fullStructure(shape.units), scoresUnits: false, recompute: args.recompute },
  });
  return processBytes(agentBytes(statSync(join(folder, "tokenizer.json")).size), memory);
}

function measure(key: string, shape: MemoryShape): MemoryReport {
  const folder = join(root, key);
  if (!existsSync(folder)) {
    writeModelFolder(folder, shape);
    const lines = examplesOf(shape, LABELS, 400, plan.maxTokens).map((each) =>
      JSON.stringify(each),
    );
    writeFileSync(join(folder, "examples.jsonl"), lines.join("\n"));
  }
  const job: MemoryJob = { folder, labels: LABELS, plan, rounds: Number(args.rounds), baseDtype };
  const script = fileURLToPath(new URL("./process.js", import.meta.url));
  const flags = args.flags.split(" ").filter((flag) => flag !== "");
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...flags, script, JSON.stringify(job)],
    { encoding: "utf8", env: { ...process.env, ...SMALL_ENVIRONMENT } },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as MemoryReport;
}
