/** Sums, norms and inner products of adapter products that are never formed. */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray } from "../../base/arrays.ts";
import { type Dense, dense, timesTransposed } from "./dense.ts";
import { fullIn, fullOut, rankOf } from "./update-check.ts";

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
  return Math.sqrt(Math.max(0, innerProduct(module, module)));
}

/** <s_x B_x A_x, s_y B_y A_y> over the entries of the unpruned layer: the sum over B_xᵀB_y o A_x A_yᵀ. */
export function innerProduct(x: LoraModule, y: LoraModule): number {
  const [ofB, ofA] = [asColumns, asRows].map((side) => timesTransposed(side(x), side(y)));
  let sum = 0;
  ofA?.data.forEach((value, i) => (sum += value * (ofB?.data[i] as number)));
  return x.scale * y.scale * sum;
}

/** The directions of A as rows, [R, in]; zeros at inputs that pruning took. */
function asRows(module: LoraModule): Dense {
  const { a, cols } = module;
  const [R = 0, width = 0] = a.shape;
  const out = dense(R, fullIn(module));
  for (let r = 0; r < R; r++) {
    for (let i = 0; i < width; i++)
      out.data[r * out.cols + (cols?.indices[i] ?? i)] = a.data[r * width + i] as number;
  }
  return out;
}

/** The directions of B as rows, [R, out]; zeros at outputs that pruning took. */
function asColumns(module: LoraModule): Dense {
  const { b, rows } = module;
  const [height = 0, R = 0] = b.shape;
  const out = dense(R, fullOut(module));
  for (let o = 0; o < height; o++) {
    for (let r = 0; r < R; r++)
      out.data[r * out.cols + (rows?.indices[o] ?? o)] = b.data[o * R + r] as number;
  }
  return out;
}
