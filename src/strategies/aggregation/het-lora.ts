/**
 * The mean of zero-padded factors, weighted by how much each device changed the layer: w_k = ||B_k A_k||_F / sum_j ||B_j A_j||_F.
 * Source: HetLoRA's sparsity-weighted aggregation (Cho et al., EMNLP 2024, section 4). Norms are taken per layer and sample counts do
 * not matter; both are our reading. Owner averaging for pruned structures is ours.
 */
import type { LoraModule } from "../../base/adapter.ts";
import type { Aggregator } from "./aggregator.ts";
import { type Dense, dense, gramOf } from "./dense.ts";
import { layerWise } from "./layer-wise.ts";
import { factorDefect, ownerMean } from "./owner-mean.ts";
import { rankOf } from "./update-check.ts";

/** Needs updates of the result's scale and at most its rank; any structures. */
export const hetLora: Aggregator = layerWise({
  name: "het-lora",
  defectIn: (update, { rank, scale }) => factorDefect(update, { minRank: 1, rank, scale }),
  mergeLayer(terms, start, { rank, scale }) {
    const norms = terms.map(({ module }) => productNorm(module));
    const hasChanged = norms.some((norm) => norm > 0);
    const weighed = hasChanged
      ? terms.map((term, i) => ({ ...term, weight: norms[i] as number }))
      : terms;
    return {
      module: ownerMean(weighed, start, { rank, scale, directions: "padded", pruned: "left-out" }),
    };
  },
});

/** ||scale B A||_F without the product: its square is the sum over BᵀB o AAᵀ. */
export function productNorm(module: LoraModule): number {
  const ofA = gramOf(asRows(module));
  const ofB = gramOf(asColumns(module));
  let sum = 0;
  ofA.data.forEach((value, i) => (sum += value * (ofB.data[i] as number)));
  return module.scale * Math.sqrt(Math.max(0, sum));
}

function asRows({ a }: LoraModule): Dense {
  return dense(a.shape[0] ?? 0, a.shape[1] ?? 0, Float64Array.from(a.data));
}

function asColumns(module: LoraModule): Dense {
  const { b } = module;
  const [R, outputs] = [rankOf(module), b.shape[0] ?? 0];
  const out = dense(R, outputs);
  for (let r = 0; r < R; r++) {
    for (let o = 0; o < outputs; o++) out.data[r * outputs + o] = b.data[o * R + r] as number;
  }
  return out;
}
