/** Training a whole model on plain text, with held-out loss, checkpoints and exact continuation. */
import type { HostArray } from "../base/arrays.ts";
import { DataError } from "../base/errors.ts";
import { Tape } from "../autograd/tape.ts";
import type { Model } from "../models/model.ts";
import { Trainer, type TrainerState } from "../train/trainer.ts";
import type { ScheduleKind } from "../train/schedule.ts";
import type { Objective } from "./objective.ts";
import type { Corpus } from "./corpus.ts";
import { splitCorpus, WindowSampler, type WindowFrame, type WindowPosition } from "./windows.ts";

export interface PretrainOptions {
  readonly steps: number;
  readonly batchSize: number;
  /** Tokens per window, special tokens included. */
  readonly windowTokens: number;
  readonly peakRate: number;
  readonly warmupSteps: number;
  readonly schedule: ScheduleKind;
  readonly weightDecay: number;
  readonly clipNorm: number | null;
  readonly seed: number;
  /** Steps between held-out evaluations and checkpoints. */
  readonly evaluateEvery: number;
  readonly checkpointEvery: number;
  /** Share of every document that is only evaluated on, 0 for no evaluation. */
  readonly heldOutFraction: number;
}

export interface PretrainState {
  readonly trainer: TrainerState;
  readonly position: WindowPosition;
}

export interface PretrainEvents {
  onStep(record: { step: number; loss: number; rate: number; tokens: number }): void;
  onEvaluation(record: { step: number; heldOutLoss: number }): void;
  /** Called with everything a continuation needs; the model holds the parameters. */
  onCheckpoint(state: PretrainState): void;
}

/** Windows of the held-out loss; a few thousand predicted tokens are enough to see a trend. */
const HELD_OUT_WINDOWS = 256;
/** Step numbers of held-out masks lie far from those of training. */
const HELD_OUT_STEP = 1_000_000_000;

/** Trains every parameter of the model in place. Throws FedspineError when training diverges. */
export function pretrain(
  model: Model,
  corpus: Corpus,
  objective: Objective,
  options: PretrainOptions,
  events: PretrainEvents,
  resume?: PretrainState,
): void {
  const { batchSize, windowTokens, seed } = options;
  const { training, heldOut } = splitCorpus(corpus, options.heldOutFraction);
  const sampler = new WindowSampler(training, { windowTokens, frame: objective.frame, seed });
  const heldOutWindows = windowsToScore(heldOut, objective.frame, options);
  const trainer = new Trainer(model.engine, model.store.all(), {
    schedule: {
      kind: options.schedule,
      peakRate: options.peakRate,
      warmupSteps: options.warmupSteps,
      totalSteps: options.steps,
    },
    clipNorm: options.clipNorm,
    adamW: { weightDecay: options.weightDecay, beta2: 0.98, eps: 1e-6 },
    seed,
  });
  try {
    if (resume !== undefined) {
      trainer.restore(resume.trainer);
      sampler.position = resume.position;
    }
    while (trainer.stepCount < options.steps) {
      const step = trainer.stepCount;
      const { batch, targets } = objective.example(sampler.next(batchSize), windowTokens, step);
      const { loss, rate } = trainer.step([(tape) => model.loss(tape, batch, targets)]);
      events.onStep({ step, loss, rate, tokens: batchSize * windowTokens });
      const done = step + 1;
      const isLast = done === options.steps;
      if (heldOutWindows.length > 0 && (done % options.evaluateEvery === 0 || isLast)) {
        const heldOutLoss = evaluate(model, objective, heldOutWindows, options);
        events.onEvaluation({ step: done, heldOutLoss });
      }
      if (done % options.checkpointEvery === 0 || isLast) {
        events.onCheckpoint({ trainer: trainer.export(), position: sampler.position });
      }
    }
  } finally {
    trainer.dispose();
  }
}

/** Held-out windows, none where nothing is held out. Throws DataError where that is no whole window. */
function windowsToScore(
  heldOut: Corpus,
  frame: WindowFrame,
  { heldOutFraction, windowTokens, seed }: PretrainOptions,
): Int32Array {
  if (heldOutFraction === 0) return new Int32Array(0);
  try {
    return new WindowSampler(heldOut, { windowTokens, frame, seed }).next(HELD_OUT_WINDOWS);
  } catch (cause) {
    throw new DataError("the held-out part is too short", {
      hint: "hold out a larger share, or nothing at all",
      cause,
    });
  }
}

/** Mean loss over fixed windows with fixed masks. */
function evaluate(
  model: Model,
  objective: Objective,
  windows: Int32Array,
  { windowTokens: T, batchSize }: PretrainOptions,
): number {
  let total = 0;
  let predicted = 0;
  for (let at = 0; at < windows.length; at += batchSize * T) {
    const part = windows.subarray(at, at + batchSize * T);
    const { batch, targets } = objective.example(part, T, HELD_OUT_STEP + at);
    const count = targets.kind === "tokens" ? targets.labels.length : part.length - part.length / T;
    const loss = model.engine.step(() => {
      const tape = new Tape(model.engine, { recording: false });
      return model.loss(tape, batch, targets).f32[0] as number;
    });
    total += loss * count;
    predicted += count;
  }
  return total / predicted;
}

/** Replaces the token embedding's start by another table of the same shape. */
export function startEmbedding(model: Model, table: HostArray): void {
  model.body.tokenEmbedding.tensor.f32.set(table.data);
}
