/**
 * Robust rules that look at every entry of a layer's change by itself: new = old + centre over the owners of (s_i B_i A_i - what i was sent).
 * The dense change of one row at a time is compared; the sum is cut back to rank R as flex-lora's is.
 */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray, type NamedArrays } from "../../base/arrays.ts";
import type { Aggregator } from "./aggregator.ts";
import { changeOf } from "./change.ts";
import { type Dense, dense } from "./dense.ts";
import { layerWise, type Term } from "./layer-wise.ts";
import { truncateMatrix } from "./low-rank.ts";
import { moduleOf } from "./merged-module.ts";
import { fullIn, fullOut, rankOf } from "./update-check.ts";

/** One number for the values of several devices, ascending in the first `count` places. */
export type Centre = (sorted: Float64Array, count: number) => number;

/** Any ranks, scales and structures; a device has one vote per entry, whatever samples it claims. */
export function coordinateWise(name: string, centre: Centre): Aggregator {
  return layerWise({
    name,
    takesAnyRank: true,
    countsDevices: true,
    mergeLayer(terms, start, { rank, scale }) {
      const merged = denseProduct(start, terms);
      addCentres(merged, terms, start, centre);
      for (let i = 0; i < merged.data.length; i++)
        merged.data[i] = (merged.data[i] as number) / scale;
      const { factors, ...energy } = truncateMatrix(merged, rank, "even");
      return { module: moduleOf(terms, factors, scale), energy };
    },
    mergeHeads: (terms) => centreOfHeads(terms, centre),
  });
}

/** The same of layers that are trained in full, value by value. */
export function centreOfHeads(
  terms: readonly { readonly update: { readonly heads: NamedArrays } }[],
  centre: Centre,
): NamedArrays {
  const merged: NamedArrays = new Map();
  const values = new Float64Array(terms.length);
  for (const [name, { shape }] of terms[0]?.update.heads ?? []) {
    const arrays = terms.flatMap(({ update }) => update.heads.get(name)?.data ?? []);
    const out = hostArray(shape);
    for (let i = 0; i < out.data.length; i++) {
      arrays.forEach((data, k) => (values[k] = data[i] as number));
      out.data[i] = centre(sorted(values, arrays.length), arrays.length);
    }
    merged.set(name, out);
  }
  return merged;
}

/** Adds the centre of the changes to every entry that anybody owns. */
function addCentres(
  { rows, cols, data }: Dense,
  terms: readonly Term[],
  start: LoraModule | undefined,
  centre: Centre,
): void {
  const changes = terms.map(({ module }) => changeOf(module, start));
  const places = changes.map((change) => rowPlaces(change, rows));
  const width = changes.length;
  const byColumn = new Float64Array(cols * width);
  const counts = new Uint32Array(cols);
  const values = new Float64Array(width);
  for (let o = 0; o < rows; o++) {
    counts.fill(0);
    changes.forEach((change, k) => {
      const at = places[k]?.[o] ?? -1;
      if (at >= 0) spreadRow(change, at, byColumn, counts, width);
    });
    for (let i = 0; i < cols; i++) {
      const count = counts[i] as number;
      if (count === 0) continue;
      values.set(byColumn.subarray(i * width, i * width + count));
      const at = o * cols + i;
      data[at] = (data[at] as number) + centre(sorted(values, count), count);
    }
  }
}

/** Appends a change's row to the values of each of its columns. */
function spreadRow(
  change: LoraModule,
  row: number,
  byColumn: Float64Array,
  counts: Uint32Array,
  width: number,
): void {
  const { cols: owned } = change;
  const values = productRow(change, row);
  for (let i = 0; i < values.length; i++) {
    const col = owned?.indices[i] ?? i;
    const count = counts[col] as number;
    byColumn[col * width + count] = values[i] as number;
    counts[col] = count + 1;
  }
}

function productRow({ a, b, scale }: LoraModule, row: number): Float64Array {
  const [R = 0, inputs = 0] = a.shape;
  const out = new Float64Array(inputs);
  for (let r = 0; r < R; r++) {
    const weight = scale * (b.data[row * R + r] as number);
    if (weight === 0) continue;
    for (let i = 0; i < inputs; i++)
      out[i] = (out[i] as number) + weight * (a.data[r * inputs + i] as number);
  }
  return out;
}

/** For each row of the unpruned layer where it stands in the module, or -1. */
function rowPlaces({ rows, b }: LoraModule, size: number): Int32Array {
  const places = new Int32Array(size).fill(-1);
  const height = b.shape[0] ?? 0;
  for (let at = 0; at < height; at++) places[rows?.indices[at] ?? at] = at;
  return places;
}

/** The product before the round, or zeros. */
function denseProduct(start: LoraModule | undefined, terms: readonly Term[]): Dense {
  const { module } = terms[0] as Term;
  const out = dense(fullOut(module), fullIn(module));
  if (start === undefined || rankOf(start) === 0) return out;
  for (let o = 0; o < out.rows; o++) out.data.set(productRow(start, o), o * out.cols);
  return out;
}

/** Insertion sort of the first `count` values: there are few, and a call of the library for each entry costs more. */
function sorted(values: Float64Array, count: number): Float64Array {
  for (let i = 1; i < count; i++) {
    const value = values[i] as number;
    let at = i - 1;
    while (at >= 0 && (values[at] as number) > value) {
      values[at + 1] = values[at] as number;
      at -= 1;
    }
    values[at + 1] = value;
  }
  return values;
}
