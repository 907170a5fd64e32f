/**
 * `npm run bench:encodings [-- FILE …]`: what it costs in accuracy to send updates in fewer bytes, on the demo's events and on files or
 * folders of labelled text. Real training of the bundled base on eight gateways, simulated. One JSON line per run on stdout;
 * docs/update-encodings.md quotes them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packRecord, unpackRecord } from "../../src/device/training/trainer-record.ts";
import { updateDtypes } from "../../src/io/adapter-values.ts";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";
import type { Job, ResultOf, TrainJob } from "../../src/simulation/trainer-jobs.ts";
import { type JobRunner, WorkerPool } from "../../src/simulation/worker-pool.ts";

const BASE = fileURLToPath(new URL("../../../models/base-encoder", import.meta.url));
const ROUNDS = 8;
const SEEDS = [1, 2];

/** Takes from devices what they keep of an update that lost something. */
class Forgetful implements JobRunner {
  readonly #pool: JobRunner;

  constructor(pool: JobRunner) {
    this.#pool = pool;
  }

  run<J extends Job>(job: J, signal?: AbortSignal): Promise<ResultOf<J>> {
    return this.#pool.run(job.kind === "train" ? withoutResidual(job) : job, signal);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

function withoutResidual<J extends TrainJob>(job: J): J {
  const { pruning } = unpackRecord(job.memory);
  return { ...job, memory: packRecord({ pruning, residual: null }) };
}

async function run(
  source: string,
  updateDtype: (typeof updateDtypes)[number],
  hasFeedback: boolean,
  seed: number,
): Promise<void> {
  const settings = parseSimulationConfig({
    seed,
    data: { source, maxExamples: 2400, maxTestExamples: 400 },
    fleet: { profile: "gateways", devices: 8 },
    evaluation: { every: ROUNDS },
    coordinator: {
      rounds: ROUNDS,
      plan: {
        ...{ rank: 8, alpha: 16, targets: "all-linear", steps: 20, batchSize: 8, maxTokens: 48 },
        ...{ learningRate: 0.006, updateDtype },
      },
    },
  });
  const numWorkers = availableParallelism();
  const outFolder = mkdtempSync(join(tmpdir(), "fedspine-encodings-"));
  const { after, total } = await runSimulation(settings, {
    base: BASE,
    fleet: builtInFleet("gateways"),
    outFolder,
    numWorkers,
    createRunner: (setup) => {
      const pool = new WorkerPool(setup, numWorkers);
      return hasFeedback ? pool : new Forgetful(pool);
    },
    resume: false,
    onEvent: () => undefined,
    onNote: () => undefined,
    signal: new AbortController().signal,
  });
  rmSync(outFolder, { recursive: true });
  const { accuracy = null, loss = null } = after ?? {};
  const { bytesUp } = total;
  const row = { source, updateDtype, hasFeedback, seed, accuracy, loss, bytesUp };
  console.log(JSON.stringify(row));
}

for (const source of ["demo", ...process.argv.slice(2)]) {
  for (const seed of SEEDS) {
    for (const dtype of updateDtypes) {
      await run(source, dtype, true, seed);
      if (dtype === "int8") await run(source, dtype, false, seed);
    }
  }
}
