/**
 * A device's training as a process of its own, with all that a device loads: `process.js <job as JSON>`. Prints one
 * JSON line: what the process took at most, and what of it was the engine's and JavaScript's.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BaseDtype } from "../../src/base/base-dtype.ts";
import { command } from "../../src/cli/commands/device.ts";
import { loadExamples } from "../../src/data/dataset.ts";
import { EngineTrainer } from "../../src/device/engine-trainer.ts";
import type { TrainPlan } from "../../src/protocol/messages.ts";

/** What the process is to do. */
export interface MemoryJob {
  readonly folder: string;
  readonly labels: readonly string[];
  readonly plan: TrainPlan;
  readonly rounds: number;
  readonly baseDtype: BaseDtype;
}

export interface MemoryReport {
  /** Most resident memory of the process, and how much there was before the model was loaded. */
  readonly peakRssBytes: number;
  readonly startRssBytes: number;
  /** Most that tensors took, and the memory that the engine has for them. */
  readonly engineBytes: number;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  readonly externalBytes: number;
  readonly loadMs: number;
  readonly stepMs: number;
}

const job = JSON.parse(process.argv[2] ?? "") as MemoryJob;
command();
const { examples } = loadExamples(join(job.folder, "examples.jsonl"));
const startRssBytes = process.memoryUsage().rss;
const { baseDtype } = job;
const trainer = new EngineTrainer({
  examples,
  deviceId: "d",
  kernels: "auto",
  baseDtype,
  savesMemory: true,
});
const startMs = performance.now();
await trainer.prepare(job.folder, job.labels, "run");
let [adapter, engineBytes, loadMs]: [Uint8Array | null, number, number] = [null, 0, 0];
const stepTimes: number[] = [];
for (let round = 0; round < job.rounds; round++) {
  let lastMs = performance.now();
  const onStep = async (step: number): Promise<void> => {
    const nowMs = performance.now();
    if (loadMs === 0) loadMs = nowMs - startMs;
    if (step > 1) stepTimes.push(nowMs - lastMs);
    // A device hears its messages here.
    await new Promise(setImmediate);
    lastMs = performance.now();
  };
  const { update, report } = await trainer.train(
    job.plan,
    adapter,
    onStep,
    new AbortController().signal,
  );
  adapter = update;
  engineBytes = Math.max(engineBytes, report.peakBytes);
}
const { heapUsed, heapTotal, external } = process.memoryUsage();
const report: MemoryReport = {
  ...{ peakRssBytes: peakRss(), startRssBytes, engineBytes },
  ...{ heapUsedBytes: heapUsed, heapTotalBytes: heapTotal, externalBytes: external },
  ...{ loadMs, stepMs: stepTimes.sort((a, b) => a - b)[stepTimes.length >> 1] ?? 0 },
};
process.stdout.write(`${JSON.stringify(report)}\n`);

/** The kernel's own high-water mark, which forgets nothing. */
function peakRss(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
  return 1024 * Number(line?.[1] ?? 0);
}
