/** Fine-tuning of a model's adapter and head on sequences: the loop that a command and a device share. */
import type { Sequence } from "../data/batch.ts";
import type { Model } from "../models/model.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { BatchStream, type BatchPosition } from "./batch-stream.ts";
import type { ScheduleKind } from "./schedule.ts";
import { Trainer, type StepHooks, type StepResult, type TrainerState } from "./trainer.ts";

export interface FineTuneOptions extends StepHooks {
  /** Updates to make in all. */
  readonly steps: number;
  readonly batchSize: number;
  /** Batches whose gradients are averaged into one update. */
  readonly accumulation: number;
  readonly peakRate: number;
  readonly schedule: ScheduleKind;
  readonly warmupSteps: number;
  readonly clipNorm: number | null;
  readonly weightDecay: number;
  readonly seed: number;
  readonly shuffle: boolean;
  /** Seed of the order of examples; by default `seed`. */
  readonly shuffleSeed?: string;
  /** Keep the inputs of layers alone and run them again in the backward pass; by default not. */
  readonly recompute?: boolean;
}

export const FINE_TUNE_DEFAULTS = {
  batchSize: 16,
  accumulation: 1,
  peakRate: 2e-3,
  schedule: "linear",
  warmupSteps: 0,
  clipNorm: 1,
  weightDecay: 0.01,
  seed: 1,
  shuffle: true,
} as const;

export interface FineTuneState {
  readonly trainer: TrainerState;
  readonly position: BatchPosition;
}

/** Updates adapter and head in place, one call of {@link step} at a time. */
export class FineTuner {
  readonly #model: Model;
  readonly #options: FineTuneOptions;
  readonly #stream: BatchStream;
  readonly #trainer: Trainer;

  /** `parameters`: the tensors to train. */
  constructor(
    model: Model,
    parameters: readonly { name: string; tensor: Tensor }[],
    sequences: readonly Sequence[],
    options: FineTuneOptions,
  ) {
    const { batchSize, seed, shuffle } = options;
    const orderSeed = options.shuffleSeed ?? seed;
    this.#model = model;
    this.#options = options;
    this.#stream = new BatchStream(sequences, {
      batchSize,
      shuffleSeed: shuffle ? orderSeed : null,
    });
    const { afterBackward, beforeUpdate } = options;
    this.#trainer = new Trainer(model.engine, parameters, {
      ...(afterBackward === undefined ? {} : { afterBackward }),
      ...(beforeUpdate === undefined ? {} : { beforeUpdate }),
      schedule: {
        kind: options.schedule,
        peakRate: options.peakRate,
        warmupSteps: options.warmupSteps,
        totalSteps: options.steps,
      },
      clipNorm: options.clipNorm,
      recompute: options.recompute ?? false,
      adamW: { weightDecay: options.weightDecay },
      seed,
    });
  }

  get stepCount(): number {
    return this.#trainer.stepCount;
  }

  get totalSteps(): number {
    return this.#options.steps;
  }

  /** Whether all steps are made. */
  get isDone(): boolean {
    return this.#trainer.stepCount >= this.#options.steps;
  }

  /** One update; the loss is that of the batch before it. Throws FedspineError when training diverges. */
  step(): StepResult {
    const batches = Array.from({ length: this.#options.accumulation }, () => this.#stream.next());
    return this.#trainer.step(
      batches.map((batch) => (tape) => {
        const targets =
          this.#model.task === "classify"
            ? ({ kind: "classes", labels: batch.labels } as const)
            : ({ kind: "next-token" } as const);
        return this.#model.loss(tape, batch, targets);
      }),
    );
  }

  /** Gradient and moments of a trained tensor, each of its shape; none for other tensors. */
  statesOf(tensor: Tensor): readonly Tensor[] {
    return this.#trainer.statesOf(tensor);
  }

  export(): FineTuneState {
    return { trainer: this.#trainer.export(), position: this.#stream.position };
  }

  /** Continues exactly where {@link export} was called, given the parameters of that moment. */
  restore({ trainer, position }: FineTuneState): void {
    this.#trainer.restore(trainer);
    this.#stream.position = position;
  }

  dispose(): void {
    this.#trainer.dispose();
  }
}

/** Updates that `epochs` passes over `numExamples` take. */
export function stepsForEpochs(
  numExamples: number,
  epochs: number,
  { batchSize, accumulation }: { batchSize: number; accumulation: number },
): number {
  return Math.max(1, Math.ceil((Math.ceil(numExamples / batchSize) * epochs) / accumulation));
}
