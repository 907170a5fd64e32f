/**
 * Bounds how far one update may lie from what its device was sent: a multiple of the median of those that counted before. A median
 * stays where it is while fewer than half of the fleet lie, so a hostile device can be as large as the bound and no larger.
 * Source: bounding norms against backdoors from Sun et al. 2019 (arXiv 1911.07963), there by a constant; the running median is ours.
 */
import { fields, list, number } from "../plain-shapes.ts";
import type { ChangeNorm } from "./change-norm.ts";
import { median } from "./median.ts";

export interface NormBoundOptions {
  /** Times the median. */
  readonly factor: number;
  /** Norms that must have been counted before an update is judged when it arrives. */
  readonly warmup: number;
  /** Norms that are remembered, the newest. */
  readonly window: number;
}

/** Updates of one round that can be judged by each other before there is a history. */
const FEWEST_PEERS = 3;

const readHistory = fields({ products: list(number(0)), heads: list(number(0)) });

export class NormBound {
  readonly #options: NormBoundOptions;
  #history: { products: number[]; heads: number[] } = { products: [], heads: [] };

  constructor(options: NormBoundOptions) {
    this.#options = options;
  }

  /** Why an update of these norms is not taken, judged by the history; null also while there is too little of it. */
  excessOf(norm: ChangeNorm): string | null {
    return this.#isWarm() ? this.#excess(norm, this.#history) : null;
  }

  /** The same within a round, where the updates judge each other as long as there is too little history. */
  excessIn(norm: ChangeNorm, round: readonly ChangeNorm[]): string | null {
    return this.#isWarm() ? this.#excess(norm, this.#history) : this.excessAmong(norm, round);
  }

  /** Judged by the others of a round alone; null also where they are too few to say who is wrong. */
  excessAmong(norm: ChangeNorm, round: readonly ChangeNorm[]): string | null {
    if (round.length < FEWEST_PEERS) return null;
    const peers = {
      products: round.map(({ products }) => products),
      heads: round.map(({ heads }) => heads),
    };
    return this.#excess(norm, peers);
  }

  /** Takes in what counted in a round, sorted by device. Fresh adapters are left out: their norms are of another kind. */
  learn(norms: readonly ChangeNorm[]): void {
    const { window } = this.#options;
    const { products, heads } = this.#history;
    this.#history = {
      products: [...products, ...norms.map((norm) => norm.products)].slice(-window),
      heads: [...heads, ...norms.map((norm) => norm.heads)].slice(-window),
    };
  }

  /** What a checkpoint keeps. */
  export(): unknown {
    return this.#history;
  }

  /** Throws ConfigError for what `export` never gave. */
  restore(saved: unknown): void {
    this.#history = readHistory(saved, "saved norms of updates");
  }

  #isWarm(): boolean {
    return this.#history.products.length >= this.#options.warmup;
  }

  #excess(
    norm: ChangeNorm,
    others: Readonly<Record<keyof ChangeNorm, readonly number[]>>,
  ): string | null {
    const { factor } = this.#options;
    for (const part of ["products", "heads"] as const) {
      const middle = median(others[part]);
      if (middle > 0 && norm[part] > factor * middle) {
        return `its ${part} changed by ${norm[part].toPrecision(3)}, ${(norm[part] / middle).toPrecision(3)} times the median`;
      }
    }
    return null;
  }
}
