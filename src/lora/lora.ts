/** LoRA adapters on a model's linear layers: attach, detach, merge, and their values as plain arrays. */
import { loraLinear } from "../autograd/ops/lora-linear.ts";
import { product } from "../autograd/ops/linear.ts";
import type { Tape } from "../autograd/tape.ts";
import type { Owned } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import { ConfigError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Linear, LinearAdapter } from "../nn/linear.ts";
import type { Engine } from "../tensor/engine.ts";
import { copyToHost, overwrite, type NamedTensor } from "../tensor/named-tensors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { patternValue, selectTargets, type TargetPattern } from "./targets.ts";

export interface LoraConfig {
  readonly rank: number;
  /** The pair is added with factor alpha / rank. */
  readonly alpha: number;
  readonly targets: TargetPattern;
  /** Drop rate on the low-rank path while training, in [0, 1). */
  readonly dropout: number;
  /** Ranks and alphas of single modules, by name or suffix pattern. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
}

export const LORA_DEFAULTS = { rank: 8, alpha: 16, dropout: 0 } as const;

/** One pair: a [R, in] starts random, b [out, R] starts at zero, so that attaching changes nothing. */
export class LoraPair implements LinearAdapter {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly scale: number;
  readonly dropout: number;
  readonly perOutput: readonly Tensor[];
  readonly perInput: readonly Tensor[];

  constructor(a: Tensor, b: Tensor, scale: number, dropout: number) {
    this.a = a;
    this.b = b;
    this.scale = scale;
    this.dropout = dropout;
    this.perOutput = [b];
    this.perInput = [a];
    a.requiresGrad = true;
    b.requiresGrad = true;
  }

  forward(tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
    return loraLinear(tape, x, weight, bias, this);
  }
}

export class Lora {
  readonly config: LoraConfig;
  readonly #engine: Engine;
  readonly #pairs = new Map<Linear, LoraPair>();

  private constructor(engine: Engine, config: LoraConfig) {
    this.#engine = engine;
    this.config = config;
  }

  /**
   * Attaches a fresh pair to every selected layer; `rng` starts the A factors (Kaiming uniform, as PEFT). They
   * are nested: the A of a smaller rank is the first rows of that of a larger one, and the A of a pruned layer
   * the columns that `inputsOf` says are left, so that devices of every rank and structure start alike.
   */
  static attach(
    engine: Engine,
    linears: readonly Linear[],
    config: LoraConfig,
    rng: Rng,
    inputsOf: (name: string) => Owned | undefined = () => undefined,
  ): Lora {
    checkConfig(config);
    const lora = new Lora(engine, config);
    const layers = selectTargets(linears, config.targets);
    const taken = layers.find(({ adapter }) => adapter !== null);
    if (taken !== undefined) {
      throw new ConfigError(`lora: ${taken.name} has an adapter already`, {
        hint: "detach or merge it first",
      });
    }
    for (const layer of layers) {
      const rank = patternValue(layer.name, config.rankPattern ?? {}, config.rank);
      const alpha = patternValue(layer.name, config.alphaPattern ?? {}, config.alpha);
      const [outputs, inputs] = [layer.weight.tensor.rows, layer.weight.tensor.cols];
      const a = engine.empty([rank, inputs], "state");
      startRows(a.f32, rank, inputsOf(layer.name) ?? inputs, rng.fork(layer.name));
      const b = engine.zeros([outputs, rank], "state");
      const pair = new LoraPair(a, b, alpha / rank, config.dropout);
      layer.adapter = pair;
      lora.#pairs.set(layer, pair);
    }
    return lora;
  }

  /** The factors to train, named `<module>.lora_A.weight` and `<module>.lora_B.weight`. */
  parameters(): NamedTensor[] {
    return [...this.#pairs].flatMap(([{ name }, { a, b }]) => [
      { name: `${name}.lora_A.weight`, tensor: a },
      { name: `${name}.lora_B.weight`, tensor: b },
    ]);
  }

  /** Names of the layers with a pair. */
  moduleNames(): string[] {
    return [...this.#pairs.keys()].map(({ name }) => name);
  }

  /** Overwrites the factors. Throws CheckpointError for a missing or misshapen one. */
  load(values: NamedArrays, origin: string): void {
    overwrite(this.parameters(), values, {
      what: (name) => `${origin}: tensor ${name}`,
      hint: "do rank and targets match the adapter?",
    });
  }

  /** A copy of the factors. */
  export(): NamedArrays {
    return copyToHost(this.parameters());
  }

  /** Adds every pair into its base weight, W += s B A, and detaches. */
  merge(): void {
    this.#engine.step(() => {
      for (const [layer, { a, b, scale }] of this.#pairs) {
        const out = layer.weight.tensor;
        product(this.#engine, "Nn", b, a, { out, alpha: scale, accumulate: true });
      }
    });
    this.detach();
  }

  /** Takes the pairs off and frees them; the base is as it was before. */
  detach(): void {
    for (const [layer, { a, b }] of this.#pairs) {
      layer.adapter = null;
      this.#engine.free(a);
      this.#engine.free(b);
    }
    this.#pairs.clear();
  }
}

/** Fills A row by row: one draw for every input that the unpruned layer has, of which those that are left count. */
function startRows(a: Float32Array, rank: number, inputs: Owned | number, rng: Rng): void {
  const [of, kept] = typeof inputs === "number" ? [inputs, null] : [inputs.of, inputs.indices];
  const bound = 1 / Math.sqrt(of);
  for (let row = 0; row < rank; row++) {
    const drawn = Float32Array.from({ length: of }, () => bound * (2 * rng.next() - 1));
    const left = kept === null ? drawn : Float32Array.from(kept, (i) => drawn[i] as number);
    a.set(left, row * left.length);
  }
}

function checkConfig({ rank, alpha, dropout }: LoraConfig): void {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new ConfigError("lora rank", { expected: "a whole number from 1", got: String(rank) });
  }
  if (!(alpha > 0)) {
    throw new ConfigError("lora alpha", { expected: "a positive number", got: String(alpha) });
  }
  if (!(dropout >= 0 && dropout < 1)) {
    throw new ConfigError("lora dropout", { expected: "0 to below 1", got: String(dropout) });
  }
}
