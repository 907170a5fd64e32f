/** Which tokens occur near each other, counted over a corpus and weighed as pointwise mutual information. */
import { ShapeError } from "../base/errors.ts";
import type { Corpus } from "./corpus.ts";

/** A square matrix in compressed rows: row r owns `columns` and `values` from rowStarts[r] on. */
export interface SparseRows {
  readonly size: number;
  /** size + 1 offsets. */
  readonly rowStarts: Float64Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

const rowsPerPass = 1024;

/**
 * Weighted counts of neighbours up to `reach` tokens away on either side within a document; a
 * neighbour at distance d counts 1/d. Symmetric, [vocabSize, vocabSize].
 *
 * The corpus is read once per block of rows, so that only one dense block is held at a time.
 */
export function countNeighbours(corpus: Corpus, vocabSize: number, reach: number): SparseRows {
  const rowStarts = new Float64Array(vocabSize + 1);
  const blocks: { columns: Int32Array; values: Float32Array }[] = [];
  for (let firstRow = 0; firstRow < vocabSize; firstRow += rowsPerPass) {
    const rows = Math.min(rowsPerPass, vocabSize - firstRow);
    const dense = new Float64Array(rows * vocabSize);
    countBlock(dense, corpus, vocabSize, reach, firstRow, rows);
    blocks.push(compress(dense, vocabSize, firstRow, rowStarts));
  }
  const total = rowStarts[vocabSize] as number;
  const columns = new Int32Array(total);
  const values = new Float32Array(total);
  let at = 0;
  for (const block of blocks) {
    columns.set(block.columns, at);
    values.set(block.values, at);
    at += block.columns.length;
  }
  return { size: vocabSize, rowStarts, columns, values };
}

function countBlock(
  dense: Float64Array,
  { ids, documents }: Corpus,
  vocabSize: number,
  reach: number,
  firstRow: number,
  rows: number,
): void {
  for (const { start, length } of documents) {
    const end = start + length;
    for (let i = start; i < end; i++) {
      const row = (ids[i] as number) - firstRow;
      if (row < 0 || row >= rows) continue;
      const from = Math.max(start, i - reach);
      const to = Math.min(end - 1, i + reach);
      for (let j = from; j <= to; j++) {
        if (j === i) continue;
        const cell = row * vocabSize + (ids[j] as number);
        dense[cell] = (dense[cell] as number) + 1 / Math.abs(j - i);
      }
    }
  }
}

function compress(
  dense: Float64Array,
  vocabSize: number,
  firstRow: number,
  rowStarts: Float64Array,
): { columns: Int32Array; values: Float32Array } {
  let count = 0;
  for (const value of dense) if (value > 0) count++;
  const columns = new Int32Array(count);
  const values = new Float32Array(count);
  const base = rowStarts[firstRow] as number;
  let at = 0;
  for (let cell = 0; cell < dense.length; cell++) {
    const column = cell % vocabSize;
    const value = dense[cell] as number;
    if (value > 0) {
      columns[at] = column;
      values[at++] = value;
    }
    if (column === vocabSize - 1) rowStarts[firstRow + (cell + 1) / vocabSize] = base + at;
  }
  return { columns, values };
}

/**
 * Positive pointwise mutual information of `counts`: max(0, log P(w,c) / (P(w) P'(c))), where
 * context probabilities P' come from counts to the power `contextPower` (Levy, Goldberg, Dagan 2015,
 * section 3.1). Cells at zero are left out.
 */
export function positiveMutualInformation(counts: SparseRows, contextPower: number): SparseRows {
  const { size, rowStarts, columns, values } = counts;
  if (rowStarts.length !== size + 1) {
    throw new ShapeError("row offsets do not fit the matrix", {
      expected: String(size + 1),
      got: String(rowStarts.length),
    });
  }
  const rowSums = new Float64Array(size);
  for (let row = 0; row < size; row++) {
    let sum = 0;
    for (let i = rowStarts[row] as number; i < (rowStarts[row + 1] as number); i++) {
      sum += values[i] as number;
    }
    rowSums[row] = sum;
  }
  const contextWeights = rowSums.map((sum) => Math.pow(sum, contextPower));
  const contextTotal = contextWeights.reduce((sum, weight) => sum + weight, 0);
  const outStarts = new Float64Array(size + 1);
  const outColumns = new Int32Array(columns.length);
  const outValues = new Float32Array(columns.length);
  let at = 0;
  for (let row = 0; row < size; row++) {
    const rowFactor = contextTotal / (rowSums[row] as number);
    for (let i = rowStarts[row] as number; i < (rowStarts[row + 1] as number); i++) {
      const column = columns[i] as number;
      const ratio = ((values[i] as number) * rowFactor) / (contextWeights[column] as number);
      if (ratio <= 1) continue;
      outColumns[at] = column;
      outValues[at++] = Math.log(ratio);
    }
    outStarts[row + 1] = at;
  }
  return {
    size,
    rowStarts: outStarts,
    columns: outColumns.slice(0, at),
    values: outValues.slice(0, at),
  };
}
