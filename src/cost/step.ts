/** The operations of one training step, in the order in which src/models executes them. */
import type { LinearShape, ModelShape } from "../base/model-shape.ts";
import { unitKinds } from "../base/structure.ts";
import { matchesTarget } from "../base/target-pattern.ts";
import { attention, light, linear, type Operation } from "./operations.ts";
import { keptSize, type AdapterSetup } from "./parameters.ts";
import { traitsOf, type Traits } from "./traits.ts";

/** A fine-tuning step as a plan asks for it. */
export interface StepSetup extends AdapterSetup {
  readonly batchSize: number;
  /** Length T that the batch is padded to; padding is computed like tokens. */
  readonly numTokens: number;
  /** Train the layers behind the last block beside the adapter. Language models have none to train. */
  readonly trainHead: boolean;
  /** Drop rate on LoRA's path; above 0 it takes memory, whatever the rate. */
  readonly dropout: number;
  /** Whether importance scores watch the gradients that reach the units, in every layer. */
  readonly scoresUnits: boolean;
}

/** All operations with their forward and backward work. Gradients pass down to the lowest trained layer only. */
export function trainingStep(shape: ModelShape, setup: StepSetup): Operation[] {
  return new StepWalk(shape, setup).operations();
}

class StepWalk {
  readonly #shape: ModelShape;
  readonly #setup: StepSetup;
  readonly #traits: Traits;
  readonly #done: Operation[] = [];
  /** Rows of every hidden matrix: B·T. */
  readonly #M: number;
  /** Whether something below is trained, so that the stream of hidden states takes a gradient. */
  #isTracked = false;

  constructor(shape: ModelShape, setup: StepSetup) {
    this.#shape = shape;
    this.#setup = setup;
    this.#traits = traitsOf(shape);
    this.#M = setup.batchSize * setup.numTokens;
  }

  operations(): Operation[] {
    const { layers } = this.#shape.units;
    const { hasLayerNorm } = this.#traits;
    this.#embed();
    for (let layer = 0; layer < layers; layer++) this.#block(layer);
    if (!hasLayerNorm) this.#norm(this.#M, this.#isTracked);
    if (this.#traits.isClassifier) this.#classify();
    else this.#predictTokens();
    return this.#done;
  }

  #embed(): void {
    const [M, C] = [this.#M, this.#shape.width];
    const { hasPositionTable, hasTokenTypes, hasLayerNorm } = this.#traits;
    this.#light([M, this.#setup.batchSize, M, M * C]);
    if (hasPositionTable) this.#light([M, M * C, M * C]);
    if (hasTokenTypes) this.#light([M, M * C, M * C]);
    if (hasLayerNorm) this.#norm(M, false);
  }

  #block(layer: number): void {
    const linears = this.#shape.linears.filter((each) => each.layer === layer);
    const [heads, ffn] = unitKinds;
    const { hasLayerNorm } = this.#traits;
    for (const kind of [heads, ffn]) {
      const entry = this.#isTracked;
      if (!hasLayerNorm) this.#norm(this.#M, entry);
      const wide = linears.filter(({ rows }) => rows?.kind === kind);
      const isInnerTracked = wide
        .map((each) => this.#linear(each, entry))
        .some((isTracked) => isTracked);
      if (kind === heads) this.#attend(wide, layer, entry);
      else this.#activate(wide, isInnerTracked);
      const narrow = linears.filter(({ cols }) => cols?.kind === kind);
      const wantsInner = isInnerTracked || this.#setup.scoresUnits;
      for (const each of narrow) this.#isTracked = this.#linear(each, wantsInner) || entry;
      // Two gradients meet at the entry of a residual branch: their sum is a tensor of its own.
      const hidden = this.#M * this.#shape.width;
      this.#light([hidden], entry ? [hidden] : [], this.#isTracked);
      if (hasLayerNorm) this.#norm(this.#M, this.#isTracked);
    }
  }

  /** Returns whether the result takes a gradient. */
  #linear(shape: LinearShape, wantsInput: boolean): boolean {
    const { targets, structure, rank, dropout } = this.#setup;
    const R = matchesTarget(shape.name, targets) ? rank : 0;
    const { outputs: N, inputs: K } = keptSize(shape, structure);
    const drops = dropout > 0;
    this.#done.push(linear({ M: this.#M, N, K, R, drops, wantsInput, trainsWeight: false }));
    return wantsInput || R > 0;
  }

  #attend(projections: readonly LinearShape[], layer: number, isEntryTracked: boolean): void {
    const { headSize: D, numHeads, numKvHeads } = this.#shape;
    const { batchSize: B, numTokens: T, structure, targets } = this.#setup;
    const G = structure.layers[layer]?.heads.length ?? 0;
    const H = G * (numHeads / numKvHeads);
    const isTracked = (i: number): boolean =>
      isEntryTracked || matchesTarget(projections[i]?.name ?? "", targets);
    if (!this.#traits.hasPositionTable) {
      this.#light([this.#M * H * D], [this.#M * H * D], isTracked(0));
      this.#light([this.#M * G * D], [this.#M * G * D], isTracked(1));
    }
    this.#done.push(
      attention({ B, T, H, G, D, isTracked: projections.some((_, i) => isTracked(i)) }),
    );
  }

  #activate(projections: readonly LinearShape[], isTracked: boolean): void {
    const inner =
      this.#M * (this.#setup.structure.layers[projections[0]?.layer ?? 0]?.ffn.length ?? 0);
    this.#light(
      [inner],
      projections.map(() => inner),
      isTracked,
    );
  }

  #norm(rows: number, isTracked: boolean): void {
    const hidden = rows * this.#shape.width;
    const { hasLayerNorm } = this.#traits;
    this.#light([hidden, rows, ...(hasLayerNorm ? [rows] : [])], [hidden], isTracked);
  }

  #classify(): void {
    const { batchSize: B, trainHead } = this.#setup;
    const { width: C, numLabels } = this.#shape;
    const isTracked = this.#isTracked;
    this.#light([B, B * C], [this.#M * C], isTracked);
    const { hasHeadDense } = this.#traits;
    const { headParameters, trainedHeadParameters } = this.#shape;
    const trainsDense = hasHeadDense && trainHead && trainedHeadParameters === headParameters;
    if (hasHeadDense) this.#head(B, C, isTracked, trainsDense);
    if (hasHeadDense) this.#light([B * C], [B * C], isTracked || trainsDense);
    this.#head(B, numLabels, isTracked || trainsDense, trainHead);
    this.#crossEntropy(B, numLabels, isTracked || trainHead);
  }

  #predictTokens(): void {
    const { batchSize, numTokens } = this.#setup;
    const { width: C, vocabSize } = this.#shape;
    const rows = batchSize * (numTokens - 1);
    const isTracked = this.#isTracked;
    this.#light([rows, rows * C], [this.#M * C], isTracked);
    if (this.#traits.hasHeadDense) {
      this.#head(rows, C, isTracked, false);
      this.#light([rows * C], [rows * C], isTracked);
      this.#norm(rows, isTracked);
    }
    this.#head(rows, vocabSize, isTracked, false);
    this.#crossEntropy(rows, vocabSize, isTracked);
  }

  #head(M: number, N: number, wantsInput: boolean, trainsWeight: boolean): void {
    const K = this.#shape.width;
    this.#done.push(linear({ M, N, K, R: 0, drops: false, wantsInput, trainsWeight }));
  }

  #crossEntropy(rows: number, cols: number, isTracked: boolean): void {
    this.#light([rows, rows, rows, 1], [1, rows * cols], isTracked);
  }

  #light(forward: readonly number[], backward: readonly number[] = [], isTracked = false): void {
    this.#done.push(light(forward, backward, isTracked));
  }
}
