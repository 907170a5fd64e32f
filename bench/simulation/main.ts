/**
 * `npm run bench:simulation [-- devices …]`: what simulated devices cost beside their training. Training is a stand-in that returns
 * one real update with another bias for every device; broker, transfers, checks, merging and saving are real. One JSON
 * line per fleet size on stdout.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";
import type { Job, ResultOf, TrainJob, TrainResult } from "../../src/simulation/trainer-jobs.ts";
import { type JobRunner, WorkerPool } from "../../src/simulation/worker-pool.ts";

const BASE = fileURLToPath(new URL("../../../models/base-encoder", import.meta.url));
const ROUNDS = 3;

/** Trains once and says of every device that it came to nearly the same. */
class Parrot implements JobRunner {
  readonly #pool: JobRunner;
  readonly #learnt = new Map<string, Promise<TrainResult>>();

  constructor(pool: JobRunner) {
    this.#pool = pool;
  }

  async run<J extends Job>(job: J): Promise<ResultOf<J>> {
    if (job.kind === "score") return this.#pool.run(job);
    return await this.#trained(job);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #trained(job: TrainJob): Promise<TrainResult> {
    const key = String(job.plan.rank);
    const learnt = this.#learnt.get(key) ?? this.#pool.run(job);
    this.#learnt.set(key, learnt);
    const { update, ...rest } = await learnt;
    const own = update.slice();
    const view = new DataView(own.buffer, own.byteOffset, own.byteLength);
    view.setFloat32(
      own.byteLength - 4,
      1e-3 * job.device.index + 1e-6 * job.plan.seed * 2 ** -32,
      true,
    );
    return { ...rest, update: own };
  }
}

async function measure(devices: number): Promise<void> {
  const settings = parseSimulationConfig({
    data: { maxExamples: 16 * devices, maxTestExamples: 16 },
    fleet: { profile: "gateways", devices },
    coordinator: {
      rounds: ROUNDS,
      plan: { rank: 8, alpha: 16, targets: "all-linear", steps: 20, batchSize: 8, maxTokens: 64 },
    },
  });
  const outFolder = mkdtempSync(join(tmpdir(), "fedspine-simulation-"));
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  let roundStartMs = startMs;
  const roundSeconds: number[] = [];
  const summary = await runSimulation(settings, {
    base: BASE,
    fleet: builtInFleet("gateways"),
    outFolder,
    numWorkers: 1,
    createRunner: (setup) => new Parrot(new WorkerPool(setup, 1)),
    resume: false,
    onEvent: (event) => {
      if (event.kind === "round-started") roundStartMs = performance.now();
      if (event.kind === "round-finished")
        roundSeconds.push((performance.now() - roundStartMs) / 1000);
    },
    onNote: () => undefined,
    signal: new AbortController().signal,
  });
  rmSync(outFolder, { recursive: true });
  const cpu = process.cpuUsage(cpuBefore);
  const record = {
    devices,
    rounds: summary.rounds,
    seconds: (performance.now() - startMs) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    roundSeconds,
    numEvents: summary.numEvents,
    bytesUp: summary.total.bytesUp,
    bytesDown: summary.total.bytesDown,
    virtualSeconds: summary.durationMs / 1000,
    peakMegabytes: process.resourceUsage().maxRSS / 1024,
    ok: summary.ok,
  };
  process.stdout.write(`${JSON.stringify(record)}\n`);
}

const sizes = process.argv.slice(2).map(Number);
for (const devices of sizes.length > 0 ? sizes : [80, 200, 500]) await measure(devices);
