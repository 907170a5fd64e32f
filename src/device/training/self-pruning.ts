/**
 * Rank self-pruning: directions at the tail are pushed towards zero while training, and cut where they gave way.
 * Source: HetLoRA (Cho et al. 2024, section 3.2), per adapted layer.
 */
import { hostArray, type HostArray, type NamedArrays } from "../../base/arrays.ts";
import type { NamedTensor } from "../../tensor/named-tensors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { TrainedTensor } from "../../train/optimizer.ts";

interface Pair {
  readonly a: Tensor;
  readonly b: Tensor;
}

export class SelfPruning {
  /** Directions that are not tail. */
  readonly rank: number;
  readonly #pairs: readonly Pair[];
  readonly #weight: number;
  readonly #tailAtStart: number;

  /**
   * `parameters`: the factors as the round starts with them, all of one rank R; round(share R) directions of them, at
   * least one, are not tail.
   */
  constructor(
    parameters: readonly NamedTensor[],
    { weight, share }: { readonly weight: number; readonly share: number },
  ) {
    this.#pairs = pairs(parameters);
    this.#weight = weight;
    this.rank = Math.max(1, Math.round(share * (this.#pairs[0]?.a.rows ?? 1)));
    this.#tailAtStart = this.tail();
  }

  /** Sum over the layers of |B of the tail| |A of the tail|, Frobenius norms: what `weight` times is added to the loss. */
  tail(): number {
    return this.#pairs.reduce((sum, { a, b }) => {
      return sum + norm(this.#tailOfA(a)) * norm(this.#tailOfB(b));
    }, 0);
  }

  /** Whether the tail has become smaller since the start, so that the update is to be cut. */
  get hasGivenWay(): boolean {
    return this.tail() < this.#tailAtStart;
  }

  /** Adds the gradient of the term to those of the factors; at a norm of zero, where there is none, nothing. */
  addGradients(trained: readonly TrainedTensor[]): void {
    const gradientOf = new Map(trained.map(({ tensor, gradient }) => [tensor, gradient]));
    for (const { a, b } of this.#pairs) {
      const [normA, normB] = [norm(this.#tailOfA(a)), norm(this.#tailOfB(b))];
      if (normA === 0 || normB === 0) continue;
      const [gradientA, gradientB] = [gradientOf.get(a)?.f32, gradientOf.get(b)?.f32];
      const [weight, from, R] = [this.#weight, this.rank, a.rows];
      a.f32.forEach((value, i) => {
        if (gradientA === undefined || i < from * a.cols) return;
        gradientA[i] = (gradientA[i] ?? 0) + (weight * normB * value) / normA;
      });
      b.f32.forEach((value, i) => {
        if (gradientB === undefined || i % R < from) return;
        gradientB[i] = (gradientB[i] ?? 0) + (weight * normA * value) / normB;
      });
    }
  }

  #tailOfA(a: Tensor): Float32Array {
    return a.f32.subarray(this.rank * a.cols);
  }

  #tailOfB(b: Tensor): Float32Array {
    return b.f32.filter((_, i) => i % b.cols >= this.rank);
  }
}

/** The first `rank` directions of each factor in `values`; other tensors stay as they are. */
export function firstDirections(values: NamedArrays, rank: number): NamedArrays {
  const cut = (name: string, host: HostArray): HostArray => {
    const [first = 0, second = 0] = host.shape;
    if (name.endsWith(".lora_A.weight")) {
      return hostArray([rank, second], host.data.slice(0, rank * second));
    }
    if (!name.endsWith(".lora_B.weight")) return host;
    return hostArray(
      [first, rank],
      host.data.filter((_, i) => i % second < rank),
    );
  };
  return new Map(Array.from(values, ([name, host]) => [name, cut(name, host)]));
}

function pairs(parameters: readonly NamedTensor[]): Pair[] {
  const byName = new Map(parameters.map(({ name, tensor }) => [name, tensor]));
  return parameters.flatMap(({ name, tensor: a }) => {
    const b = byName.get(name.replace(/\.lora_A\.weight$/, ".lora_B.weight"));
    return name.endsWith(".lora_A.weight") && b !== undefined ? [{ a, b }] : [];
  });
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
