/** A model with a LoRA adapter and, for classifiers, a trained head: what fine-tuning changes and saves. */
import type { Owned } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import { ownedOf } from "../base/model-shape.ts";
import { Rng } from "../base/rng.ts";
import { Lora, type LoraConfig } from "../lora/lora.ts";
import type { Model } from "../models/model.ts";
import { copyToHost, overwrite, type NamedTensor } from "../tensor/named-tensors.ts";

export interface AdaptOptions {
  readonly lora: LoraConfig;
  /** Train the classification head beside the adapter; language models have none to train. */
  readonly trainHead: boolean;
  /** Starts fresh A factors. */
  readonly seed: number;
}

export class AdaptedModel {
  readonly model: Model;
  readonly lora: Lora;
  readonly trainHead: boolean;

  private constructor(model: Model, lora: Lora, trainHead: boolean) {
    this.model = model;
    this.lora = lora;
    this.trainHead = trainHead;
  }

  /** Attaches a fresh adapter. Throws ConfigError when the targets select nothing. */
  static attach(model: Model, { lora, trainHead, seed }: AdaptOptions): AdaptedModel {
    const rng = Rng.fromSeed(seed).fork("lora");
    const shapes = new Map(model.shape.linears.map((shape) => [shape.name, shape]));
    const inputsOf = (name: string): Owned | undefined => {
      const shape = shapes.get(name);
      return shape && ownedOf(shape, model.structure).cols;
    };
    const attached = Lora.attach(model.engine, model.linears(), lora, rng, inputsOf);
    return new AdaptedModel(model, attached, trainHead && model.headModules().length > 0);
  }

  /** What a file must say about the adapter beside its weights. */
  get shape(): {
    rank: number;
    alpha: number;
    targets: string[];
    dropout: number;
    rankPattern: Readonly<Record<string, number>>;
    alphaPattern: Readonly<Record<string, number>>;
  } {
    const { rank, alpha, targets, dropout, rankPattern, alphaPattern } = this.lora.config;
    return {
      rank,
      alpha,
      // A regular expression or "all-linear" is spelled out: every reader understands plain names.
      targets: typeof targets === "string" ? this.lora.moduleNames() : [...targets],
      dropout,
      rankPattern: rankPattern ?? {},
      alphaPattern: alphaPattern ?? {},
    };
  }

  /** The tensors to train: LoRA factors first, then head weights. */
  parameters(): NamedTensor[] {
    return [...this.lora.parameters(), ...(this.trainHead ? this.model.headParameters() : [])];
  }

  /** A copy of everything that training changes, by full name. */
  export(): NamedArrays {
    return copyToHost(this.parameters());
  }

  /** Overwrites factors and, where present, head weights. Throws CheckpointError on a misfit. */
  load(values: NamedArrays, origin: string): void {
    this.lora.load(values, origin);
    const stored = this.model.headParameters().filter(({ name }) => values.has(name));
    overwrite(stored, values, {
      what: (name) => `${origin}: tensor ${name} has another shape`,
      hint: "was the adapter trained for other classes?",
    });
  }

  /** Takes the adapter off and frees it; head weights keep their values. */
  detach(): void {
    this.lora.detach();
  }
}
