/** Scores gathered while a model trains, or from a few batches where there are none yet. */
import { Tape } from "../../autograd/tape.ts";
import type { Sequence } from "../../data/batch.ts";
import type { Model } from "../../models/model.ts";
import type { PruningPlan } from "../../protocol/messages.ts";
import type { ScoreKeeper } from "../../pruning/keeper.ts";
import { scorers } from "../../pruning/scores/index.ts";
import type { Scorer } from "../../pruning/scores/scorer.ts";
import type { TrainedTensor } from "../../train/optimizer.ts";
import { BatchStream, type BatchStreamOptions } from "../../train/batch-stream.ts";

export interface ScoringOptions {
  readonly model: Model;
  readonly plan: PruningPlan;
  readonly keeper: ScoreKeeper;
  readonly deviceId: string;
}

/** Batches that scores are measured on before a first pruning. */
const PROBE_BATCHES = 8;

/** Watches a model and hands every step's scores to the keeper. */
export class Scoring {
  readonly #options: ScoringOptions;
  readonly #scorer: Scorer;

  /** Throws ConfigError when the score cannot be had with the adapters that are attached. */
  constructor(options: ScoringOptions) {
    this.#options = options;
    const { model, plan, deviceId } = options;
    this.#scorer = scorers[plan.score]({ model, seed: deviceId });
  }

  /** Begins to watch forward passes. */
  begin(): void {
    this.#options.model.body.observer = this.#scorer.observer;
  }

  end(): void {
    this.#options.model.body.observer = null;
  }

  afterBackward(tape: Tape): void {
    this.#scorer.afterBackward(tape);
  }

  beforeUpdate(trained: readonly TrainedTensor[]): void {
    const gradients = new Map(trained.map(({ tensor, gradient }) => [tensor, gradient]));
    const { model, plan, keeper } = this.#options;
    const scores = this.#scorer.take((tensor) => gradients.get(tensor));
    keeper.update(scores, model.structure, plan.decay);
  }

  /** Scores of a few batches, each for a step, without an update. */
  probe(
    sequences: readonly Sequence[],
    options: BatchStreamOptions & { readonly recompute: boolean },
  ): void {
    const { model, plan, keeper } = this.#options;
    const { engine } = model;
    const stream = new BatchStream(sequences, options);
    this.begin();
    try {
      for (let i = 0; i < Math.min(PROBE_BATCHES, stream.batchesPerEpoch); i++) {
        const batch = stream.next();
        engine.step(() => {
          const tape = new Tape(engine, { recomputes: options.recompute });
          tape.backward(model.loss(tape, batch, { kind: "classes", labels: batch.labels }));
          this.#scorer.afterBackward(tape);
          const scores = this.#scorer.take((tensor) => tape.gradient(tensor));
          keeper.update(scores, model.structure, plan.decay);
        });
      }
    } finally {
      this.end();
    }
  }
}
