/**
 * The stacked factors of the sample-weighted mean of products, for devices with different ranks and pruned structures.
 * [w_1 s_1 B_1 ... w_n s_n B_n] times [A_1; ...; A_n] is the sum of the products. A row or column that pruning took from some devices is
 * averaged over those that still have it; its weight depends on the row alone (or the column alone), so it is a scaling of the
 * rows of the stacked B (or the columns of the stacked A) and the low-rank form survives.
 * Source: stacking from FLoRA (Wang et al. 2024, section 3.2), owner averaging from HeteroFL (Diao et al. 2021).
 */
import type { LoraModule, Owned } from "../../base/adapter.ts";
import { RoundError } from "../../base/errors.ts";
import { dense } from "./dense.ts";
import type { Term } from "./layer-wise.ts";
import type { Factors } from "./low-rank.ts";
import { fullIn, fullOut, rankOf } from "./update-check.ts";

/**
 * What the adapter before the round adds: to rows and columns that no update has, to all, or to what no update could change, which is
 * those rows and columns and, for a device of a lower rank, the directions that it was not sent.
 */
export interface Start {
  readonly module: LoraModule;
  readonly where: "unowned" | "unsent" | "everywhere";
}

/**
 * Factors of the mean product over `scale`, in the coordinates of the unpruned layer; K is the sum of the ranks.
 * Throws RoundError for a layer that is pruned in both directions.
 */
export function ownerStack(terms: readonly Term[], scale: number, start?: Start): Factors {
  const { module } = terms[0] as Term;
  const rowsAreCut = terms.some((term) => term.module.rows !== undefined);
  const colsAreCut = terms.some((term) => term.module.cols !== undefined);
  if (rowsAreCut && colsAreCut) {
    throw new RoundError(`${module.name} is pruned in its rows and in its columns`, {
      expected: "layers that lose outputs or inputs, not both",
    });
  }
  const rowShares = ownerShares(terms, ({ rows }) => rows, fullOut(module));
  const colShares = ownerShares(terms, ({ cols }) => cols, fullIn(module));
  const blocks: Block[] = terms.map((term) => ({
    module: term.module,
    factor: (term.weight * term.module.scale) / scale,
    rowFactors: rowsAreCut ? rowShares.map(inverse) : null,
    colFactors: colsAreCut ? colShares.map(inverse) : null,
  }));
  const isWhole = start?.where === "everywhere";
  if (start?.where === "unsent") {
    const side = colsAreCut ? "cols" : "rows";
    const [owned, size] = colsAreCut
      ? [(module: LoraModule) => module.cols, fullIn(module)]
      : [(module: LoraModule) => module.rows, fullOut(module)];
    const of = unsentShares(terms, owned, size, rankOf(start.module));
    // With equal ranks there is mostly nothing to complete, and zeros would only make the stack wider.
    if (of.some((share) => share !== 0)) {
      blocks.push({
        ...{ module: start.module, factor: start.module.scale / scale },
        ...{ rowFactors: null, colFactors: null },
        shares: { side, of },
      });
    }
  } else if (start !== undefined && (isWhole || rowShares.includes(0) || colShares.includes(0))) {
    blocks.push({
      module: start.module,
      factor: start.module.scale / scale,
      rowFactors: rowsAreCut && !isWhole ? rowShares.map(isZero) : null,
      colFactors: colsAreCut && !isWhole ? colShares.map(isZero) : null,
    });
  }
  return stacked(blocks, fullOut(module), fullIn(module));
}

/** Sum of the weights of the devices that have each index; one where nothing is pruned. */
export function ownerShares(
  terms: readonly Term[],
  owned: (module: LoraModule) => Owned | undefined,
  size: number,
): Float64Array {
  const shares = new Float64Array(size);
  for (const { module, weight } of terms) {
    const part = owned(module);
    if (part === undefined) {
      for (let i = 0; i < size; i++) shares[i] = (shares[i] as number) + weight;
    } else {
      for (const i of part.indices) shares[i] = (shares[i] as number) + weight;
    }
  }
  return shares;
}

/** For each index and direction the share of its owners, in weight, that were not sent the direction; 1 where nobody owns it. */
function unsentShares(
  terms: readonly Term[],
  owned: (module: LoraModule) => Owned | undefined,
  size: number,
  rank: number,
): Float64Array {
  const ranks = [...new Set(terms.map(({ module }) => rankOf(module)))].filter((r) => r < rank);
  const all = ownerShares(terms, owned, size);
  const unsent = new Float64Array(size * rank);
  for (const r of ranks) {
    const lower = ownerShares(
      terms.filter(({ module }) => rankOf(module) === r),
      owned,
      size,
    );
    for (let i = 0; i < size; i++)
      for (let k = r; k < rank; k++)
        unsent[i * rank + k] = (unsent[i * rank + k] as number) + (lower[i] as number);
  }
  for (let i = 0; i < size; i++) {
    const share = all[i] as number;
    for (let k = 0; k < rank; k++)
      unsent[i * rank + k] = share === 0 ? 1 : (unsent[i * rank + k] as number) / share;
  }
  return unsent;
}

interface Block {
  readonly module: LoraModule;
  readonly factor: number;
  /** What the rows of B and the columns of A are multiplied with, by original index; null = one. */
  readonly rowFactors: Float64Array | null;
  readonly colFactors: Float64Array | null;
  /** A factor for each index of one side and each direction, index after index; absent = one. */
  readonly shares?: { readonly side: "rows" | "cols"; readonly of: Float64Array };
}

function stacked(blocks: readonly Block[], numOutputs: number, numInputs: number): Factors {
  const K = blocks.reduce((sum, { module }) => sum + rankOf(module), 0);
  const left = dense(numOutputs, K);
  const right = dense(numInputs, K);
  let at = 0;
  for (const { module, factor, rowFactors, colFactors, shares } of blocks) {
    const { a, b, rows, cols } = module;
    const R = rankOf(module);
    const share = (side: "rows" | "cols", index: number, r: number): number =>
      shares?.side === side ? (shares.of[index * R + r] as number) : 1;
    const height = b.shape[0] ?? 0;
    for (let o = 0; o < height; o++) {
      const row = rows?.indices[o] ?? o;
      const weight = factor * (rowFactors?.[row] ?? 1);
      for (let r = 0; r < R; r++)
        left.data[row * K + at + r] =
          weight * share("rows", row, r) * (b.data[o * R + r] as number);
    }
    const width = a.shape[1] ?? 0;
    for (let i = 0; i < width; i++) {
      const col = cols?.indices[i] ?? i;
      const weight = colFactors?.[col] ?? 1;
      for (let r = 0; r < R; r++)
        right.data[col * K + at + r] =
          weight * share("cols", col, r) * (a.data[r * width + i] as number);
    }
    at += R;
  }
  return { left, right };
}

function inverse(share: number): number {
  return share === 0 ? 0 : 1 / share;
}

function isZero(share: number): number {
  return share === 0 ? 1 : 0;
}
