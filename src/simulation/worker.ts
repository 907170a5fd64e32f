/** A worker thread of a simulation: trains devices and scores adapters with the real engine, one job at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { EngineTrainer } from "../device/engine-trainer.ts";
import { volatileMemory } from "../device/training/trainer-memory.ts";
import { Engine } from "../tensor/engine.ts";
import { Scorer } from "./scorer.ts";
import type { JobMessage, Jobs, TrainJob, TrainResult, WorkerSetup } from "./trainer-jobs.ts";

const setup = workerData as WorkerSetup;
let scorer: Scorer | undefined;
let engine: Engine | undefined;

/** The same memory for one job after another: thousands of engines would wait for the garbage collector. */
function clearedEngine(): Engine {
  engine ??= Engine.create({ kernels: setup.kernels });
  engine.clear();
  return engine;
}

/** A trainer of its own for every job: what a device was given before cannot show in its results. */
async function train({ device, plan, run, adapter, memory: kept }: TrainJob): Promise<TrainResult> {
  const { baseFolder, labels, kernels, baseDtype, parts } = setup;
  const examples = parts[device.index] ?? [];
  const memory = volatileMemory(kept);
  const createEngine = clearedEngine;
  const trainer = new EngineTrainer({
    ...{ examples, deviceId: device.id, kernels, baseDtype, memory, createEngine },
  });
  await trainer.prepare(baseFolder, labels, run);
  const losses: number[] = [];
  const onStep = (_: number, loss: number): Promise<void> => {
    losses.push(loss);
    return Promise.resolve();
  };
  const never = new AbortController().signal;
  const { update, report } = await trainer.train(plan, adapter, onStep, never);
  return { update, report, losses, memory: memory.load() };
}

const handlers: { [K in keyof Jobs]: (job: Jobs[K]["job"]) => Promise<Jobs[K]["result"]> } = {
  train,
  score: async (job) => (scorer ??= new Scorer(setup)).score(job),
};

parentPort?.on("message", ({ serial, job }: JobMessage) => {
  const done = job.kind === "train" ? handlers.train(job) : handlers.score(job);
  done.then(
    (result) => {
      // Handed over, not copied.
      const buffers = "update" in result ? [result.update.buffer as ArrayBuffer] : [];
      parentPort?.postMessage({ serial, result }, buffers);
    },
    (error: unknown) => {
      const failure = error instanceof Error ? error.message : String(error);
      parentPort?.postMessage({ serial, failure });
    },
  );
});
