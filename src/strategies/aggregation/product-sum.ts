/** Sums, norms and inner products of adapter products that are never formed. */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray } from "../../base/arrays.ts";
import { type Dense, dense, gramOf } from "./dense.ts";
import { rankOf } from "./update-check.ts";

export interface ProductTerm {
  readonly module: LoraModule;
  readonly factor: number;
}

/**
 * One module whose product is `sum_i factor_i scale_i B_i A_i`: the factors side by side, so that the ranks add up. All terms are of
 * one layer with the same rows and columns left.
 */
export function sumOfProducts(terms: readonly [ProductTerm, ...ProductTerm[]]): LoraModule {
  const [{ module: first }] = terms;
  const [outputs, inputs] = [first.b.shape[0] ?? 0, first.a.shape[1] ?? 0];
  const K = terms.reduce((sum, { module }) => sum + rankOf(module), 0);
  const a = hostArray([K, inputs]);
  const b = hostArray([outputs, K]);
  let at = 0;
  for (const { module, factor } of terms) {
    const R = rankOf(module);
    const weight = (factor * module.scale) / first.scale;
    a.data.set(module.a.data, at * inputs);
    for (let o = 0; o < outputs; o++)
      for (let r = 0; r < R; r++)
        b.data[o * K + at + r] = weight * (module.b.data[o * R + r] as number);
    at += R;
  }
  return { ...first, a, b };
}

/** ||scale B A||_F without the product: its square is the sum over BᵀB o AAᵀ. */
export function productNorm(module: LoraModule): number {
  const ofA = gramOf(asRows(module));
  const ofB = gramOf(asColumns(module));
  let sum = 0;
  ofA.data.forEach((value, i) => (sum += value * (ofB.data[i] as number)));
  return module.scale * Math.sqrt(Math.max(0, sum));
}

/** The directions of A, [R, in]. */
function asRows({ a }: LoraModule): Dense {
  return dense(a.shape[0] ?? 0, a.shape[1] ?? 0, Float64Array.from(a.data));
}

/** The directions of B as rows, [R, out]. */
function asColumns(module: LoraModule): Dense {
  const { b } = module;
  const [R, outputs] = [rankOf(module), b.shape[0] ?? 0];
  const out = dense(R, outputs);
  for (let r = 0; r < R; r++) {
    for (let o = 0; o < outputs; o++) out.data[r * outputs + o] = b.data[o * R + r] as number;
  }
  return out;
}
