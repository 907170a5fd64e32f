/**
 * The exact mean of the products B A, for devices with different ranks and different pruned structures.
 * The factors are stacked, [w_1 s_1 B_1 ... w_n s_n B_n] times [A_1; ...; A_n], and cut back to rank R by a small SVD. A row or column
 * that pruning took from some devices is averaged over those that still have it (HeteroFL's owner averaging): its weight depends on the
 * row alone, so it is a scaling of the rows of the stacked B (or of the columns of the stacked A) and the low-rank form survives.
 * Source: stacking from FLoRA (Wang et al. 2024), SVD from FlexLoRA (Bai et al. 2024), owner averaging from HeteroFL (Diao et al. 2021).
 */
import type { AdapterState, LoraModule, Owned } from "../../base/adapter.ts";
import { type HostArray, hostArray } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import type { Aggregator } from "./aggregator.ts";
import { mergeHeads } from "./heads.ts";
import { type Factors, truncateProduct } from "./low-rank.ts";
import { defectOf, fullIn, fullOut, mismatchOf, rankOf, weighUpdates } from "./update-check.ts";

interface Term {
  readonly module: LoraModule;
  readonly weight: number;
}

/** Any ranks, scales and structures; throws RoundError for a layer that is pruned in both directions. */
export const loraStack: Aggregator = {
  name: "lora-stack",
  aggregate(updates, { rank, scale, previous }) {
    const terms = weighUpdates(updates);
    const first = terms[0]?.update as AdapterState;
    const defect =
      previous === undefined ? null : (defectOf(previous) ?? mismatchOf(previous, first));
    if (defect !== null)
      throw new RoundError("lora-stack: the previous adapter does not fit", { got: defect.text });
    const layers = terms.map(
      ({ update }) => new Map(update.modules.map((module) => [module.name, module])),
    );
    let discarded = 0;
    let total = 0;
    const names = [...(layers[0]?.keys() ?? [])].sort();
    const modules = names.map((name): LoraModule => {
      const parts = terms.map(({ weight }, i) => ({
        module: layers[i]?.get(name) as LoraModule,
        weight,
      }));
      const start = previous?.modules.find((module) => module.name === name);
      const cut = truncateProduct(stack(parts, start), rank);
      discarded += cut.discarded;
      total += cut.total;
      // The scale goes into both factors alike, so that they stay balanced.
      const factor = 1 / Math.sqrt(scale);
      return { name, a: toHost(cut.a, factor), b: toHost(cut.b, factor), scale };
    });
    return {
      state: { modules, heads: mergeHeads(terms) },
      discardedEnergy: total === 0 ? 0 : discarded / total,
    };
  },
};

/** Factors of the owner-averaged sum of products of one layer, in the coordinates of the unpruned layer. */
function stack(terms: readonly Term[], previous: LoraModule | undefined): Factors {
  const { module } = terms[0] as Term;
  const numOutputs = fullOut(module);
  const numInputs = fullIn(module);
  const rowsAreCut = terms.some((term) => term.module.rows !== undefined);
  const colsAreCut = terms.some((term) => term.module.cols !== undefined);
  if (rowsAreCut && colsAreCut) {
    throw new RoundError(`lora-stack: ${module.name} is pruned in its rows and in its columns`, {
      expected: "layers that lose outputs or inputs, not both",
    });
  }
  const rowShares = ownerShares(terms, ({ rows }) => rows, numOutputs);
  const colShares = ownerShares(terms, ({ cols }) => cols, numInputs);
  const blocks = terms.map(({ module, weight }) => block(module, weight, numOutputs, numInputs));
  for (const { b, a } of blocks) {
    b.forEach((row, o) => scaleRow(row, inverse(rowShares[o] as number)));
    for (const row of a)
      row.forEach((value, i) => (row[i] = value * inverse(colShares[i] as number)));
  }
  if (previous !== undefined && (rowsAreCut || colsAreCut)) {
    const rest = block(previous, 1, numOutputs, numInputs);
    if (rowsAreCut) rest.b.forEach((row, o) => scaleRow(row, rowShares[o] === 0 ? 1 : 0));
    else
      for (const row of rest.a)
        row.forEach((value, i) => (row[i] = colShares[i] === 0 ? value : 0));
    blocks.push(rest);
  }
  return {
    b: Array.from({ length: numOutputs }, (_, o) =>
      concatenate(blocks.map(({ b }) => b[o] as Float64Array)),
    ),
    a: blocks.flatMap(({ a }) => a),
  };
}

/** Sum of the weights of the devices that own each index. */
function ownerShares(
  terms: readonly Term[],
  owned: (module: LoraModule) => Owned | undefined,
  size: number,
): Float64Array {
  const shares = new Float64Array(size);
  for (const { module, weight } of terms) {
    const part = owned(module);
    if (part === undefined) shares.forEach((share, i) => (shares[i] = share + weight));
    else for (const index of part.indices) shares[index] = (shares[index] as number) + weight;
  }
  return shares;
}

/** weight * scale * B [out, R] and A [R, in] with zeros where structures are missing. */
function block(
  module: LoraModule,
  weight: number,
  numOutputs: number,
  numInputs: number,
): { b: Float64Array[]; a: Float64Array[] } {
  const R = rankOf(module);
  const b = Array.from({ length: numOutputs }, () => new Float64Array(R));
  const a = Array.from({ length: R }, () => new Float64Array(numInputs));
  const rows = module.rows?.indices ?? b.keys();
  const cols = [...(module.cols?.indices ?? new Float64Array(numInputs).keys())];
  let o = 0;
  for (const row of rows) {
    const target = b[row] as Float64Array;
    for (let r = 0; r < R; r++)
      target[r] = weight * module.scale * (module.b.data[o * R + r] as number);
    o++;
  }
  a.forEach((target, r) => {
    cols.forEach((col, i) => (target[col] = module.a.data[r * cols.length + i] as number));
  });
  return { b, a };
}

function scaleRow(row: Float64Array, factor: number): void {
  row.forEach((value, i) => (row[i] = value * factor));
}

function inverse(share: number): number {
  return share === 0 ? 0 : 1 / share;
}

function concatenate(parts: readonly Float64Array[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

function toHost(rows: readonly Float64Array[], factor: number): HostArray {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, r) => row.forEach((value, i) => (data[r * width + i] = value * factor)));
  return hostArray([rows.length, width], data);
}
