/** The local trainer of a real device: LoRA on the tensor engine, over the device's own examples. */
import { FedspineError } from "../base/errors.ts";
import type { Example } from "../data/examples.ts";
import { encodeDataset } from "../data/sequences.ts";
import type { Sequence } from "../data/batch.ts";
import { decodeSafetensors } from "../io/safetensors.ts";
import { encodeSafetensors } from "../io/safetensors-writer.ts";
import { loadModel } from "../models/load.ts";
import type { Model } from "../models/model.ts";
import type { TrainPlan } from "../protocol/messages.ts";
import { Engine, type EngineOptions } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { AdaptedModel } from "../train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../train/fine-tune.ts";
import type { LocalTrainer, TrainedUpdate } from "./local-trainer.ts";

export interface EngineTrainerOptions {
  /** This device's own data; it never leaves the process. */
  readonly examples: readonly Example[];
  /** Makes this device's order of examples differ from the others'. */
  readonly deviceId: string;
  readonly kernels: NonNullable<EngineOptions["kernels"]>;
}

interface Prepared {
  readonly engine: Engine;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** The head as it was loaded: where a run starts, also when an earlier one trained it here. */
  readonly freshHead: readonly { readonly tensor: Tensor; readonly values: Float32Array }[];
}

export class EngineTrainer implements LocalTrainer {
  readonly #options: EngineTrainerOptions;
  #prepared: Prepared | undefined;
  #sequences: { maxTokens: number; items: Sequence[] } | undefined;

  constructor(options: EngineTrainerOptions) {
    this.#options = options;
  }

  /** Number of examples that this device trains on. */
  get numSamples(): number {
    return this.#options.examples.length;
  }

  prepare(folder: string, labels: readonly string[]): Promise<void> {
    const engine = Engine.create({ kernels: this.#options.kernels });
    // The head must start alike on every device, or averaging the first round means nothing.
    const model = loadModel(engine, folder, { task: "classify", labels, headSeed: 1 });
    const freshHead = model
      .headParameters()
      .map(({ tensor }) => ({ tensor, values: tensor.toHost() }));
    this.#prepared = { engine, model, tokenizer: loadTokenizer(folder), freshHead };
    this.#sequences = undefined;
    return Promise.resolve();
  }

  async train(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<TrainedUpdate> {
    const { engine, model, tokenizer, freshHead } = this.#ready();
    const sequences = this.#encode(plan.maxTokens);
    for (const { tensor, values } of freshHead) tensor.f32.set(values);
    const adapted = AdaptedModel.attach(model, {
      lora: {
        rank: plan.rank,
        alpha: plan.alpha,
        targets: plan.targets,
        dropout: plan.dropout,
      },
      trainHead: plan.trainHead,
      seed: plan.seed,
    });
    const tuner = new FineTuner(model, adapted.parameters(), sequences, {
      ...FINE_TUNE_DEFAULTS,
      steps: plan.steps,
      batchSize: plan.batchSize,
      peakRate: plan.learningRate,
      // The coordinator lowers the rate from round to round; within one it stays.
      schedule: "constant",
      // Fresh AdamW moments make the first updates of a round full-sized whatever the gradient.
      warmupSteps: Math.min(WARMUP_STEPS, plan.steps - 1),
      seed: plan.seed,
      shuffleSeed: `${plan.seed}/${this.#options.deviceId}`,
      padId: tokenizer.special.pad ?? 0,
    });
    try {
      if (adapter !== null) adapted.load(decodeSafetensors(adapter, "adapter"), "adapter");
      const losses: number[] = [];
      let peakBytes = 0;
      while (!tuner.isDone) {
        signal.throwIfAborted();
        const { loss } = tuner.step();
        losses.push(loss);
        const { weights, state, stepPeak } = engine.stats;
        peakBytes = Math.max(peakBytes, weights + state + stepPeak);
        await onStep(tuner.stepCount, loss);
      }
      return {
        update: encodeSafetensors(adapted.export()),
        report: {
          numSamples: this.numSamples,
          steps: tuner.stepCount,
          lossFirst: losses[0] ?? 0,
          lossLast: losses.at(-1) ?? 0,
          heldOutLoss: null,
          rank: plan.rank,
          sparsity: 0,
          pruningSkipped: false,
          importance: 0,
          peakBytes,
          residentBytes: peakResidentBytes(),
        },
      };
    } finally {
      tuner.dispose();
      adapted.detach();
    }
  }

  #encode(maxTokens: number): Sequence[] {
    const { model, tokenizer } = this.#ready();
    if (this.#sequences?.maxTokens !== maxTokens) {
      const { examples } = this.#options;
      const limit = Math.min(maxTokens, model.architecture.maxPositions);
      const items = encodeDataset({ examples, labels: model.labels }, tokenizer, limit);
      this.#sequences = { maxTokens, items };
    }
    return this.#sequences.items;
  }

  #ready(): Prepared {
    if (this.#prepared === undefined) {
      throw new FedspineError("trainer: train was called before prepare");
    }
    return this.#prepared;
  }
}

/** Most resident memory that this process has had. */
function peakResidentBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Steps over which a round's rate rises. */
const WARMUP_STEPS = 2;
