/**
 * The mean of the devices' changes, each pulled towards the centre until it is no further away than the median device: whatever a device
 * sends, it moves a layer no further than others do. The centre is a sum of the changes, so that all of it happens on their inner
 * products and the low-rank form survives.
 * Source: Karimireddy et al. 2021 (arXiv 2012.10333), algorithm 2. Ours: by layer, in the space of products, over owners; the radius is
 * the median distance rather than a constant, and the centre starts at no change rather than at the last round's.
 */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray, type NamedArrays } from "../../base/arrays.ts";
import { median } from "../screening/median.ts";
import type { Aggregator } from "./aggregator.ts";
import { changeOf } from "./change.ts";
import { middle } from "./coordinate-median.ts";
import { centreOfHeads } from "./coordinate-wise.ts";
import { layerWise, type Term } from "./layer-wise.ts";
import { truncateProduct } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { ownerStack } from "./owner-stack.ts";
import { innerProduct } from "./product-sum.ts";

const ITERATIONS = 3;

/** Any ranks, scales and structures; claimed samples do not count. Throws RoundError for a layer that is pruned in both directions. */
export const centredClipping: Aggregator = layerWise({
  name: "centred-clipping",
  takesAnyRank: true,
  countsDevices: true,
  mergeLayer(terms, start, { rank, scale }) {
    const changes = terms.map(({ module }) => changeOf(module, start));
    const shares = clippedShares(changes);
    const weight = 1 / terms.length;
    // The weights say who owns a row; how much of a change is left goes into its scale.
    const clipped = changes.map((change, k): Term => {
      const module = { ...change, scale: (change.scale * (shares[k] as number)) / weight };
      return { deviceId: terms[k]?.deviceId ?? "", weight, module };
    });
    const before = start && ({ module: start, where: "everywhere" } as const);
    const { factors, ...energy } = truncateProduct(
      ownerStack(clipped, scale, before),
      rank,
      "even",
    );
    return { module: moduleOf(terms, factors, scale), energy };
  },
  mergeHeads: clippedHeads,
});

/** What is left of each change in the centre, the k-th entry of x in v = sum_k x_k D_k. */
function clippedShares(changes: readonly LoraModule[]): number[] {
  const n = changes.length;
  const gram = changes.map((x, j) => changes.map((y, k) => (k <= j ? innerProduct(x, y) : 0)));
  const product = (j: number, k: number): number => gram[Math.max(j, k)]?.[Math.min(j, k)] ?? 0;
  let shares = new Array<number>(n).fill(0);
  for (let step = 0; step < ITERATIONS; step++) {
    const toCentre = changes.map((_, k) => sum(shares, (share, j) => share * product(j, k)));
    const square = sum(shares, (share, k) => share * (toCentre[k] as number));
    const distances = toCentre.map((inner, k) =>
      Math.sqrt(Math.max(0, product(k, k) - 2 * inner + square)),
    );
    const factors = clipFactors(distances);
    const kept = 1 - sum(factors, (factor) => factor) / n;
    shares = shares.map((share, k) => kept * share + (factors[k] as number) / n);
  }
  return shares;
}

/** The same of the heads by themselves, from their medians on: nothing else is known to be near them in the first round. */
function clippedHeads(
  terms: readonly { readonly update: { readonly heads: NamedArrays } }[],
): NamedArrays {
  let centre = centreOfHeads(terms, middle);
  for (let step = 0; step < ITERATIONS; step++) {
    const apart = terms.map(({ update }) => distance(update.heads, centre));
    const factors = clipFactors(apart);
    const next: NamedArrays = new Map();
    for (const [name, { shape, data }] of centre) {
      const moved = Float64Array.from(data);
      terms.forEach(({ update }, k) => {
        const share = (factors[k] as number) / terms.length;
        const own = update.heads.get(name)?.data ?? data;
        own.forEach((value, i) => {
          moved[i] = (moved[i] as number) + share * (value - (data[i] as number));
        });
      });
      next.set(name, hostArray(shape, Float32Array.from(moved)));
    }
    centre = next;
  }
  return centre;
}

/** min(1, radius / distance) with the median distance as the radius. */
function clipFactors(distances: readonly number[]): number[] {
  const radius = median(distances);
  return distances.map((each) => (each <= radius ? 1 : radius / each));
}

function distance(x: NamedArrays, y: NamedArrays): number {
  let squares = 0;
  for (const [name, { data }] of x) {
    const other = y.get(name)?.data;
    data.forEach((value, i) => (squares += (value - (other?.[i] ?? 0)) ** 2));
  }
  return Math.sqrt(squares);
}

function sum(values: readonly number[], term: (value: number, index: number) => number): number {
  return values.reduce((total, value, i) => total + term(value, i), 0);
}
