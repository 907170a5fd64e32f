/** The operations of one training step, in the order in which src/models executes them. */
import type { BaseDtype } from "../base/base-dtype.ts";
import type { LinearShape, ModelShape } from "../base/model-shape.ts";
import { unitKinds } from "../base/structure.ts";
import { matchesTarget } from "../base/target-pattern.ts";
import {
  attention,
  constant,
  light,
  linear,
  vocabularyLoss,
  type Operation,
  type Value,
} from "./operations.ts";
import { keptSize, type AdapterSetup } from "./parameters.ts";
import { traitsOf, type Traits } from "./traits.ts";

/** A fine-tuning step as a plan asks for it. */
export interface StepSetup extends AdapterSetup {
  readonly batchSize: number;
  /** Length T of every sequence of the batch; shorter ones take less. */
  readonly numTokens: number;
  /** Train the layers behind the last block beside the adapter. Language models have none to train. */
  readonly trainHead: boolean;
  /** Drop rate on LoRA's path; above 0 it takes memory, whatever the rate. */
  readonly dropout: number;
  /** Whether importance scores watch the gradients that reach the units, in every layer. */
  readonly scoresUnits: boolean;
  /** Whether blocks run again in the backward pass instead of keeping what they computed; by default not. */
  readonly recompute?: boolean;
  /** How weights that are not trained are held; float32 by default. */
  readonly baseDtype?: BaseDtype;
}

/** A part of a step: a tensor that stays to its end, an operation, or a layer that gives up what it no longer needs. */
export type StepPart =
  | { readonly kind: "tensor"; readonly value: Value }
  | { readonly kind: "operation"; readonly operation: Operation }
  | LayerPart;

export interface LayerPart {
  readonly kind: "layer";
  /** Given up when the layer has run; null where it reads none. */
  readonly x: Value | null;
  readonly operations: readonly Operation[];
  /** What is given up when an operation has run, before the layer's end. */
  readonly endings: ReadonlyMap<Operation, readonly Value[]>;
  readonly out: Value;
  /** Runs again when the gradient arrives, and keeps nothing but x until then. */
  readonly runsAgain: boolean;
}

/** All parts with their forward and backward work. Gradients pass down to the lowest trained layer only. */
export function trainingStep(shape: ModelShape, setup: StepSetup): StepPart[] {
  return new StepWalk(shape, setup).parts();
}

class StepWalk {
  readonly #shape: ModelShape;
  readonly #setup: StepSetup;
  readonly #traits: Traits;
  readonly #parts: StepPart[] = [];
  /** Where operations go while a layer is being put together. */
  #layer: Operation[] | null = null;
  #endings = new Map<Operation, readonly Value[]>();
  /** Rows of every hidden matrix: B·T. */
  readonly #M: number;

  constructor(shape: ModelShape, setup: StepSetup) {
    this.#shape = shape;
    this.#setup = setup;
    this.#traits = traitsOf(shape);
    this.#M = setup.batchSize * setup.numTokens;
  }

  parts(): StepPart[] {
    // Positions and offsets.
    this.#tensor(this.#M);
    this.#tensor(this.#setup.batchSize + 1);
    let x = this.#inLayer(null, false, () => this.#embed());
    for (let layer = 0; layer < this.#shape.units.layers; layer++) {
      const before = x;
      x = this.#inLayer(before, this.#setup.recompute === true, () => this.#block(layer, before));
    }
    if (!this.#traits.hasLayerNorm) x = this.#norm(x);
    if (this.#traits.isClassifier) this.#classify(x);
    else this.#predictTokens(x);
    return this.#parts;
  }

  #embed(): Value {
    const [M, C] = [this.#M, this.#shape.width];
    const { hasPositionTable, hasTokenTypes, hasLayerNorm } = this.#traits;
    const rows = (): Value => this.#light({ inputs: [], elements: M * C, passing: [M] });
    let x = rows();
    if (hasPositionTable) x = this.#add(x, rows());
    if (hasTokenTypes) x = this.#add(x, rows());
    return hasLayerNorm ? this.#norm(x) : x;
  }

  #block(layer: number, x: Value): Value {
    const { hasLayerNorm } = this.#traits;
    let hidden = x;
    for (const kind of unitKinds) {
      const linears = this.#shape.linears.filter((each) => each.layer === layer);
      const wide = linears.filter(({ rows }) => rows?.kind === kind);
      const narrow = linears.filter(({ cols }) => cols?.kind === kind);
      const branch = (entry: Value): Value => {
        const projected = wide.map((each) => this.#linear(each, entry));
        const inner = kind === "heads" ? this.#attend(projected, layer) : this.#activate(projected);
        return narrow.reduce((value, each) => this.#linear(each, value), inner);
      };
      const before = hidden;
      const half = (): Value => {
        const entry = hasLayerNorm ? before : this.#norm(before);
        const out = kind === "heads" ? branch(entry) : this.#scope(() => branch(entry));
        const sum = this.#add(before, out);
        return hasLayerNorm ? this.#norm(sum) : sum;
      };
      hidden = kind === "heads" ? this.#scope(half) : half();
    }
    return hidden;
  }

  /** A part of a layer of which only the result and what backward needs stay. */
  #scope(make: () => Value): Value {
    const operations = this.#layer ?? [];
    const first = operations.length;
    const out = make();
    const last = operations.at(-1);
    const made = operations.slice(first).map((operation) => operation.out);
    const ended = made.filter((value) => value !== out);
    if (last !== undefined) this.#endings.set(last, [...(this.#endings.get(last) ?? []), ...ended]);
    return out;
  }

  #linear(shape: LinearShape, x: Value): Value {
    const { targets, structure, rank, dropout } = this.#setup;
    const R = matchesTarget(shape.name, targets) ? rank : 0;
    const { outputs: N, inputs: K } = keptSize(shape, structure);
    const drops = dropout > 0;
    return this.#push(linear({ x, M: this.#M, N, K, R, drops, trainsWeight: false }));
  }

  /** Where a shape lists fewer projections, the first stands for the others. */
  #attend([query, key = query, value = query]: readonly Value[], layer: number): Value {
    const { headSize: D, numHeads, numKvHeads } = this.#shape;
    const { batchSize: B, numTokens: T, structure, scoresUnits: isWatched } = this.#setup;
    const G = structure.layers[layer]?.heads.length ?? 0;
    const H = G * (numHeads / numKvHeads);
    let [q, k] = [query as Value, key as Value];
    if (!this.#traits.hasPositionTable) [q, k] = [this.#turn(q), this.#turn(k)];
    return this.#push(attention({ q, k, v: value as Value, B, T, H, G, D, isWatched }));
  }

  #turn(x: Value): Value {
    return this.#light({ inputs: [x], elements: x.elements });
  }

  #activate(projected: readonly Value[]): Value {
    const elements = projected[0]?.elements ?? 0;
    const isWatched = this.#setup.scoresUnits;
    const isInPlace = projected.length === 1;
    return this.#light({ inputs: projected, elements, saves: projected, isWatched, isInPlace });
  }

  #add(x: Value, y: Value): Value {
    return this.#light({ inputs: [x, y], elements: x.elements, passesGradientOn: true });
  }

  #norm(x: Value): Value {
    const rows = x.elements / this.#shape.width;
    const keeps = this.#traits.hasLayerNorm ? [rows, rows] : [rows];
    return this.#light({ inputs: [x], elements: x.elements, saves: [x], keeps });
  }

  #classify(x: Value): void {
    const { batchSize: B, trainHead } = this.#setup;
    const { width: C, numLabels, headParameters, trainedHeadParameters } = this.#shape;
    let pooled = this.#gather(x, B, C);
    if (this.#traits.hasHeadDense) {
      const trainsWeight = trainHead && trainedHeadParameters === headParameters;
      const dense = this.#head(pooled, B, C, trainsWeight);
      pooled = this.#light({ inputs: [dense], elements: B * C, savesOut: true });
    }
    this.#crossEntropy(this.#head(pooled, B, numLabels, trainHead), B);
  }

  #predictTokens(x: Value): void {
    const { batchSize, numTokens } = this.#setup;
    const { width: C, vocabSize } = this.#shape;
    const rows = batchSize * (numTokens - 1);
    let hidden = this.#gather(x, rows, C);
    if (this.#traits.hasHeadDense) {
      const dense = this.#head(hidden, rows, C, false);
      hidden = this.#norm(this.#light({ inputs: [dense], elements: rows * C, saves: [dense] }));
    }
    this.#push(vocabularyLoss(hidden, vocabSize, C));
  }

  /** Some rows of the hidden states, or means over them. */
  #gather(x: Value, rows: number, cols: number): Value {
    return this.#light({ inputs: [x], elements: rows * cols, saves: [x], keeps: [rows] });
  }

  #head(x: Value, M: number, N: number, trainsWeight: boolean): Value {
    const K = this.#shape.width;
    return this.#push(linear({ x, M, N, K, R: 0, drops: false, trainsWeight }));
  }

  #crossEntropy(logits: Value, rows: number): void {
    const [keeps, passing] = [[rows, rows], [rows]];
    this.#light({ inputs: [logits], elements: 1, saves: [logits], keeps, passing });
  }

  #inLayer(x: Value | null, mayRunAgain: boolean, make: () => Value): Value {
    const operations: Operation[] = [];
    const endings = new Map<Operation, readonly Value[]>();
    [this.#layer, this.#endings] = [operations, endings];
    const out = make();
    this.#layer = null;
    const runsAgain = mayRunAgain && out.isTracked;
    this.#parts.push({ kind: "layer", x, operations, endings, out, runsAgain });
    return out;
  }

  #light(call: Parameters<typeof light>[0]): Value {
    return this.#push(light(call));
  }

  #push(operation: Operation): Value {
    if (this.#layer === null) this.#parts.push({ kind: "operation", operation });
    else this.#layer.push(operation);
    return operation.out;
  }

  #tensor(elements: number): void {
    this.#parts.push({ kind: "tensor", value: constant(elements) });
  }
}
