/** One model's optimisation, step by step: gradients, accumulation, clipping, rate, update. */
import { Tape } from "../autograd/tape.ts";
import { ExitCode, FedspineError, ShapeError } from "../base/errors.ts";
import { shapeText, type NamedArrays } from "../base/arrays.ts";
import { Rng } from "../base/rng.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { ADAMW_DEFAULTS, AdamW, type AdamWConfig } from "./adamw.ts";
import type { Optimizer, TrainedTensor } from "./optimizer.ts";
import { learningRate, type Schedule } from "./schedule.ts";

/** Where others may look into a step or change its gradients. */
export interface StepHooks {
  /**
   * Called per micro-batch after its backward pass, while the step's temporaries last. Gradients on the
   * tape are those of the loss divided by the number of micro-batches.
   */
  readonly afterBackward?: (tape: Tape) => void;
  /** Called once the gradients of all micro-batches are summed, before their norm is taken and clipped. */
  readonly beforeUpdate?: (trained: readonly TrainedTensor[]) => void;
}

export interface TrainerConfig extends StepHooks {
  readonly schedule: Schedule;
  /** Upper bound of the gradient's 2-norm, or null for none. */
  readonly clipNorm: number | null;
  /** Run layers again in the backward pass instead of keeping what they computed: less memory, more time, the same bits. */
  readonly recompute?: boolean;
  readonly adamW?: Partial<AdamWConfig>;
  readonly seed: number;
}

export interface StepResult {
  /** Counted from 0. */
  readonly step: number;
  /** Mean over the micro-batches, before the update. */
  readonly loss: number;
  /** 2-norm over all trained tensors, before clipping. */
  readonly gradientNorm: number;
  readonly rate: number;
  /** Most bytes that the step region held. */
  readonly stepPeakBytes: number;
}

/** What an exact continuation needs beside the data position. */
export interface TrainerState {
  readonly step: number;
  readonly optimizer: { step: number; moments: NamedArrays };
}

export class Trainer {
  readonly #engine: Engine;
  readonly #config: TrainerConfig;
  readonly #trained: TrainedTensor[];
  readonly #optimizer: Optimizer;
  readonly #rng: Rng;
  #step = 0;

  /** Allocates gradients and moments for the given tensors, which it marks as trained. */
  constructor(
    engine: Engine,
    parameters: readonly { name: string; tensor: Tensor }[],
    config: TrainerConfig,
    makeOptimizer?: (trained: readonly TrainedTensor[]) => Optimizer,
  ) {
    this.#engine = engine;
    this.#config = config;
    this.#rng = Rng.fromSeed(config.seed).fork("dropout");
    this.#trained = parameters.map(({ name, tensor }) => {
      tensor.requiresGrad = true;
      return { name, tensor, gradient: engine.zeros(tensor.shape, "state") };
    });
    this.#optimizer =
      makeOptimizer?.(this.#trained) ??
      new AdamW(engine, this.#trained, { ...ADAMW_DEFAULTS, ...config.adamW });
  }

  /** Number of updates so far. */
  get stepCount(): number {
    return this.#step;
  }

  /**
   * One update from the mean gradient of the micro-batches. Each entry computes its loss [1] on the tape.
   * Throws FedspineError when the loss or a gradient is not finite; the parameters are then unchanged.
   */
  step(microBatches: readonly ((tape: Tape) => Tensor)[]): StepResult {
    const { kernels, arena } = this.#engine;
    const stepIndex = this.#step;
    arena.resetPeaks();
    for (const { name, tensor, gradient } of this.#trained) {
      if (gradient.size !== tensor.size) throw slicedWithoutTrainer(name, tensor, gradient);
      kernels.fillF32(gradient.ptr, 0, gradient.size);
    }
    let loss = 0;
    microBatches.forEach((compute, i) => {
      loss += this.#engine.step(() => {
        // Masks depend on the step alone, so that a resumed run draws the same ones.
        const tape = new Tape(this.#engine, {
          rng: this.#rng.fork(`${stepIndex}/${i}`),
          recomputes: this.#config.recompute ?? false,
        });
        const out = compute(tape);
        tape.backward(out, 1 / microBatches.length);
        for (const { tensor, gradient } of this.#trained) {
          const fresh = tape.gradient(tensor);
          if (fresh !== undefined) kernels.axpyF32(gradient.ptr, fresh.ptr, 1, gradient.size);
        }
        this.#config.afterBackward?.(tape);
        return out.f32[0] as number;
      });
    });
    loss /= microBatches.length;
    this.#engine.step(() => this.#config.beforeUpdate?.(this.#trained));
    const gradientNorm = this.#gradientNorm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw new FedspineError(
        `training diverged at step ${stepIndex}`,
        {
          expected: "a finite loss and gradient",
          got: `loss ${loss}, gradient norm ${gradientNorm}`,
          hint: "lower the learning rate, or clip gradients",
        },
        ExitCode.failed,
      );
    }
    const { clipNorm, schedule } = this.#config;
    const gradientScale = clipNorm === null ? 1 : Math.min(1, clipNorm / (gradientNorm + 1e-6));
    const rate = learningRate(schedule, stepIndex);
    this.#optimizer.update(rate, gradientScale);
    this.#step++;
    return { step: stepIndex, loss, gradientNorm, rate, stepPeakBytes: arena.stats.stepPeak };
  }

  /** Gradient and moments of a trained tensor, each of its shape; none for other tensors. */
  statesOf(tensor: Tensor): readonly Tensor[] {
    const trained = this.#trained.find((candidate) => candidate.tensor === tensor);
    return trained === undefined
      ? []
      : [trained.gradient, ...this.#optimizer.momentsOf(trained.name)];
  }

  export(): TrainerState {
    return { step: this.#step, optimizer: this.#optimizer.export() };
  }

  /** Continues from what {@link export} returned, with the parameters of that moment. */
  restore(state: TrainerState): void {
    this.#optimizer.restore(state.optimizer);
    this.#step = state.step;
  }

  /** Frees gradients and moments; the trained tensors stay. */
  dispose(): void {
    this.#optimizer.dispose();
    for (const { gradient, tensor } of this.#trained) {
      this.#engine.free(gradient);
      tensor.requiresGrad = false;
    }
    this.#trained.length = 0;
  }

  #gradientNorm(): number {
    const { kernels } = this.#engine;
    let sum = 0;
    for (const { gradient } of this.#trained) {
      sum += kernels.sumSquaresF32(gradient.ptr, gradient.size);
    }
    return Math.sqrt(sum);
  }
}

function slicedWithoutTrainer(name: string, tensor: Tensor, gradient: Tensor): ShapeError {
  return new ShapeError(`trainer: ${name} was sliced without its gradient and moments`, {
    expected: shapeText(gradient.shape),
    got: shapeText(tensor.shape),
    hint: "pass the trainer to sliceModel",
  });
}
