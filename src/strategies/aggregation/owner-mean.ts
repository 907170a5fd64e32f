/**
 * The weighted mean of A and of B, each entry over the devices that have it and as before the round where none has: HeteroFL's
 * rule (Diao et al. 2021) for rows, columns and directions alike. R2SP (FedMP, Jiang et al. 2022) differs for entries that some have.
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
  /** Directions that a device of a smaller rank lacks: "padded" with zeros where any device has them, or "nested" and left out of the mean. */
  readonly directions: "padded" | "nested";
  /** Entries that pruning took from a device: "left-out" of their mean, or counted "as-before" the round. */
  readonly pruned: "left-out" | "as-before";
}

/**
 * One layer's mean factors from updates of at most the result's rank; weights need not sum to one unless entries count as before. A
 * direction that nobody ever had starts as LoRA does, random in A and zero in B. Throws RoundError when the layer before the round
 * has another rank or scale.
 */
export function ownerMean(
  terms: readonly Term[],
  start: LoraModule | undefined,
  { rank, scale, directions, pruned }: MeanOptions,
): LoraModule {
  const { module } = terms[0] as Term;
  if (start !== undefined && (rankOf(start) !== rank || start.scale !== scale)) {
    throw new RoundError(`${module.name} before the round does not fit`, {
      expected: `rank ${rank} and scale ${scale}`,
      got: `rank ${rankOf(start)} and scale ${start.scale}`,
    });
  }
  const largest = Math.max(...terms.map((term) => rankOf(term.module)));
  const directionsOf = (term: Term): number =>
    directions === "padded" ? largest : rankOf(term.module);
  const countsBefore = pruned === "as-before" && start !== undefined;
  const before = start ?? fresh(module, largest, rank);
  const a = meanOver(
    terms.map((term) => ({
      weight: term.weight,
      array: term.module.a,
      rows: directionsOf(term),
      cols: term.module.cols,
    })),
    before.a,
    countsBefore,
  );
  const b = meanOver(
    terms.map((term) => ({
      weight: term.weight,
      array: term.module.b,
      rows: term.module.rows,
      cols: directionsOf(term),
    })),
    before.b,
    countsBefore,
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

function meanOver(parts: readonly Part[], before: HostArray, countsBefore: boolean): HostArray {
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
    const old = before.data[i] as number;
    if (countsBefore) return sum + (1 - share) * old;
    return share === 0 ? old : sum / share;
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
