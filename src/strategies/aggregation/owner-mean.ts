/**
 * The weighted mean of A and of B, each entry over the devices that have it and as before the round where none has: HeteroFL's
 * rule (Diao et al. 2021) for rows, columns and directions alike.
 */
import type { AdapterState, LoraModule, Owned } from "../../base/adapter.ts";
import { type HostArray, hostArray } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import type { Term } from "./layer-wise.ts";
import { spareDirection } from "./low-rank.ts";
import { type Defect, fullIn, fullOut, rankOf } from "./update-check.ts";

export interface MeanOptions {
  readonly rank: number;
  readonly scale: number;
  /**
   * Directions that a device of a smaller rank lacks: "zero" counts them as zeros where any device has them (zero padding),
   * "absent" leaves the device out of their mean.
   */
  readonly missing: "zero" | "absent";
}

/**
 * One layer's mean factors; weights need not sum to one. Ranks up to the result's are taken. A direction that nobody ever had starts
 * as LoRA does, random in A and zero in B. Throws RoundError when the layer before the round has another rank.
 */
export function ownerMean(
  terms: readonly Term[],
  start: LoraModule | undefined,
  { rank, scale, missing }: MeanOptions,
): LoraModule {
  const { module } = terms[0] as Term;
  if (start !== undefined && rankOf(start) !== rank) {
    throw new RoundError(`${module.name} before the round has another rank`, {
      expected: String(rank),
      got: String(rankOf(start)),
    });
  }
  const largest = Math.max(...terms.map((term) => rankOf(term.module)));
  const directionsOf = (term: Term): number => (missing === "zero" ? largest : rankOf(term.module));
  const before = start ?? fresh(module, largest, rank);
  const a = meanOver(
    terms.map((term) => ({
      weight: term.weight,
      array: term.module.a,
      rows: directionsOf(term),
      cols: term.module.cols,
    })),
    before.a,
  );
  const b = meanOver(
    terms.map((term) => ({
      weight: term.weight,
      array: term.module.b,
      rows: term.module.rows,
      cols: directionsOf(term),
    })),
    before.b,
  );
  return { name: module.name, a, b, scale };
}

/** A factor and where its rows and columns belong; a number is that many from the first, zeros behind the array's own. */
interface Part {
  readonly array: HostArray;
  readonly weight: number;
  readonly rows: Owned | number | undefined;
  readonly cols: Owned | number | undefined;
}

function meanOver(parts: readonly Part[], before: HostArray): HostArray {
  const [, width = 0] = before.shape;
  const sums = new Float64Array(before.data.length);
  const shares = new Float64Array(before.data.length);
  for (const { array, weight, rows, cols } of parts) {
    const [numRows = 0, numCols = 0] = array.shape;
    const height = typeof rows === "number" ? rows : numRows;
    const length = typeof cols === "number" ? cols : numCols;
    for (let i = 0; i < height; i++) {
      const row = placeOf(rows, i) * width;
      for (let j = 0; j < length; j++) {
        const at = row + placeOf(cols, j);
        shares[at] = (shares[at] as number) + weight;
        if (i < numRows && j < numCols)
          sums[at] = (sums[at] as number) + weight * (array.data[i * numCols + j] as number);
      }
    }
  }
  const mean = Float32Array.from(sums, (sum, i) => {
    const share = shares[i] as number;
    return share === 0 ? (before.data[i] as number) : sum / share;
  });
  return hostArray(before.shape, mean);
}

function placeOf(owned: Owned | number | undefined, index: number): number {
  return typeof owned === "object" ? (owned.indices[index] as number) : index;
}

/** Zeros, but for the directions of A that nobody has: they start as random as LoRA's. */
function fresh(module: LoraModule, numOwned: number, rank: number): Pick<LoraModule, "a" | "b"> {
  const inputs = fullIn(module);
  const a = hostArray([rank, inputs]);
  for (let r = numOwned; r < rank; r++) a.data.set(spareDirection(r, inputs), r * inputs);
  return { a, b: hostArray([fullOut(module), rank]) };
}

/** What keeps an update from being averaged factor by factor, or null. */
export function factorDefect(
  { modules }: AdapterState,
  { minRank, rank, scale }: { minRank: number; rank: number; scale: number },
): Defect | null {
  for (const module of modules) {
    const R = rankOf(module);
    if (R >= minRank && R <= rank && module.scale === scale) continue;
    const expected = `${minRank === rank ? "" : "at most "}rank ${rank} and scale ${scale}`;
    return {
      reason: "wrong-shape",
      text: `${module.name} has rank ${R} and scale ${module.scale}, not ${expected}`,
    };
  }
  return null;
}
