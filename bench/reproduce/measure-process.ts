/**
 * One round of one device in a process of its own, to measure its memory:
 *
 *   node measure-process.js prune|train MODEL ADAPTER SPARSITY BATCH TOKENS
 *
 * "prune" is a round that shrinks the model and leaves its update in ADAPTER. "train" is a later one, of a device that
 * has just started: it takes up that structure, trains, and prints {residentBytes, engineBytes} as JSON.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Rng } from "../../src/base/rng.ts";
import { EngineTrainer } from "../../src/device/engine-trainer.ts";
import type { TrainPlan } from "../../src/protocol/messages.ts";
import { RANK } from "./methods.ts";

const [task, folder = "", adapterFile = "", sparsity, batchSize, numTokens] = process.argv.slice(2);
const LABELS = ["0", "1"];
const STEPS = 4;

const plan: TrainPlan = {
  ...{ rank: RANK, alpha: 2 * RANK, targets: "all-linear", trainHead: true, dropout: 0 },
  ...{ steps: task === "prune" ? 1 : STEPS, learningRate: 1e-3, seed: 1, labels: LABELS },
  ...{ batchSize: Number(batchSize), maxTokens: Number(numTokens) },
  ...{ start: "continue", trainA: true, selfPruning: null },
  pruning:
    Number(sparsity) === 0
      ? null
      : {
          ...{ sparsity: Number(sparsity), score: "fisher", decay: 0.9, blend: 0, guard: null },
          ...{ minFfnShare: 0.1, isReversible: false },
        },
};

const WORDS = "the pump in hall seven has stopped and its motor is hot to the touch".split(" ");

/** Texts of at least as many tokens as are used. */
function examples(): { text: string; label: string }[] {
  const rng = Rng.fromSeed(1);
  return Array.from({ length: 8 * Number(batchSize) }, (_, i) => ({
    text: Array.from({ length: Number(numTokens) }, () => rng.pick(WORDS)).join(" "),
    label: LABELS[i % LABELS.length] ?? "",
  }));
}

const trainer = new EngineTrainer({ examples: examples(), deviceId: "measured", kernels: "simd" });
await trainer.prepare(folder, LABELS, "measure");
const adapter = task === "prune" ? null : readFileSync(adapterFile);
const onStep = (): Promise<void> => Promise.resolve();
const { update, report } = await trainer.train(plan, adapter, onStep, new AbortController().signal);
if (task === "prune") writeFileSync(adapterFile, update);
const { residentBytes, peakBytes } = report;
process.stdout.write(JSON.stringify({ residentBytes, engineBytes: peakBytes }));
