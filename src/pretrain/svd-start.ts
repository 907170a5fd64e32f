/** Word embeddings to start pretraining from: a truncated SVD of what occurs near what. */
import { EigenvalueDecomposition, Matrix, QrDecomposition } from "ml-matrix";
import { hostArray, type HostArray } from "../base/arrays.ts";
import { ShapeError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { countNeighbours, positiveMutualInformation, type SparseRows } from "./cooccurrence.ts";
import type { Corpus } from "./corpus.ts";

export interface SvdStartOptions {
  readonly vocabSize: number;
  /** Width C of the embedding. */
  readonly width: number;
  /** Neighbours up to this many tokens away count. */
  readonly reach: number;
  /** Exponent on the context counts; 0.75 holds rare contexts down. */
  readonly contextPower: number;
  /** Root mean square of the entries of every row: what a random start would have. */
  readonly initScale: number;
}

/** What the experiments settled on. */
export const svdStartDefaults = { reach: 6, contextPower: 0.75, initScale: 0.02 } as const;

const oversampling = 10;
const powerIterations = 2;

/**
 * Embedding [V, C] from positive mutual information and a randomised SVD: rows of U sqrt(S), each
 * brought to the length sqrt(C) * initScale. Tokens that the corpus lacks get a random direction.
 */
export function svdStart(corpus: Corpus, options: SvdStartOptions, rng: Rng): HostArray {
  const { vocabSize, width } = options;
  const counts = countNeighbours(corpus, vocabSize, options.reach);
  const information = positiveMutualInformation(counts, options.contextPower);
  const { left, singular } = randomisedSvd(information, width, rng);
  const data = new Float32Array(vocabSize * width);
  const length = options.initScale * Math.sqrt(width);
  for (let row = 0; row < vocabSize; row++) {
    const entries = Array.from(
      singular,
      (value, c) => left.get(row, c) * Math.sqrt(Math.max(0, value)),
    );
    let norm = Math.hypot(...entries);
    if (norm < 1e-9) {
      for (let c = 0; c < width; c++) entries[c] = rng.normal();
      norm = Math.hypot(...entries);
    }
    for (let c = 0; c < width; c++) {
      data[row * width + c] = ((entries[c] as number) / norm) * length;
    }
  }
  return hostArray([vocabSize, width], data);
}

/**
 * The `rank` largest singular values and left singular vectors [size, rank] of a sparse matrix by a
 * randomised range finder with power iterations (Halko, Martinsson, Tropp 2011, algorithms 4.4, 5.1).
 */
export function randomisedSvd(
  matrix: SparseRows,
  rank: number,
  rng: Rng,
): { left: Matrix; singular: Float64Array } {
  const sketch = rank + oversampling;
  if (sketch > matrix.size) {
    throw new ShapeError("the matrix is too small for the rank asked of it", {
      expected: `at least ${sketch} rows`,
      got: String(matrix.size),
      hint: "lower the width or enlarge the vocabulary",
    });
  }
  const probe = new Float64Array(matrix.size * sketch);
  for (let i = 0; i < probe.length; i++) probe[i] = rng.normal();
  let basis = orthonormal(multiply(matrix, probe, sketch), sketch);
  for (let i = 0; i < powerIterations; i++) {
    const back = orthonormal(multiplyTransposed(matrix, basis, sketch), sketch);
    basis = orthonormal(multiply(matrix, back, sketch), sketch);
  }
  // The rows of B = Q^T M are the columns of M^T Q, so B B^T is the Gram matrix of the latter.
  const projected = multiplyTransposed(matrix, basis, sketch);
  const { values, vectors } = descending(gram(projected, sketch));
  const left = asMatrix(basis, sketch).mmul(vectors.subMatrix(0, sketch - 1, 0, rank - 1));
  return { left, singular: values.slice(0, rank).map((value) => Math.sqrt(Math.max(0, value))) };
}

/** M X for a dense row-major X [size, columns]. */
function multiply(matrix: SparseRows, dense: Float64Array, columns: number): Float64Array {
  const out = new Float64Array(dense.length);
  for (let row = 0; row < matrix.size; row++) {
    const to = row * columns;
    for (let i = matrix.rowStarts[row] as number; i < (matrix.rowStarts[row + 1] as number); i++) {
      addScaledRow(
        out,
        to,
        dense,
        (matrix.columns[i] as number) * columns,
        matrix.values[i] as number,
        columns,
      );
    }
  }
  return out;
}

/** M^T X for a dense row-major X [size, columns]. */
function multiplyTransposed(
  matrix: SparseRows,
  dense: Float64Array,
  columns: number,
): Float64Array {
  const out = new Float64Array(dense.length);
  for (let row = 0; row < matrix.size; row++) {
    const from = row * columns;
    for (let i = matrix.rowStarts[row] as number; i < (matrix.rowStarts[row + 1] as number); i++) {
      addScaledRow(
        out,
        (matrix.columns[i] as number) * columns,
        dense,
        from,
        matrix.values[i] as number,
        columns,
      );
    }
  }
  return out;
}

function addScaledRow(
  out: Float64Array,
  to: number,
  inp: Float64Array,
  from: number,
  factor: number,
  count: number,
): void {
  for (let c = 0; c < count; c++) {
    out[to + c] = (out[to + c] as number) + factor * (inp[from + c] as number);
  }
}

/** An orthonormal basis of the columns of X [size, columns]. */
function orthonormal(dense: Float64Array, columns: number): Float64Array {
  const basis = new QrDecomposition(asMatrix(dense, columns)).orthogonalMatrix;
  return Float64Array.from(basis.to1DArray());
}

function asMatrix(dense: Float64Array, columns: number): Matrix {
  const rows = dense.length / columns;
  return new Matrix(
    Array.from({ length: rows }, (_, r) => dense.subarray(r * columns, (r + 1) * columns)),
  );
}

/** X^T X, [columns, columns]. */
function gram(dense: Float64Array, columns: number): Matrix {
  const out = new Float64Array(columns * columns);
  for (let from = 0; from < dense.length; from += columns) {
    for (let i = 0; i < columns; i++) {
      addScaledRow(out, i * columns, dense, from, dense[from + i] as number, columns);
    }
  }
  return asMatrix(out, columns);
}

/** Eigenpairs of a symmetric matrix, largest first. */
function descending(symmetric: Matrix): { values: Float64Array; vectors: Matrix } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, i) => i);
  order.sort((a, b) => (realEigenvalues[b] as number) - (realEigenvalues[a] as number));
  const rows = order.map((_, r) => r);
  return {
    values: Float64Array.from(order, (i) => realEigenvalues[i] as number),
    vectors: eigenvectorMatrix.selection(rows, order),
  };
}

/** The `count` rows of an embedding [V, C] whose direction is nearest to that of row `id`. */
export function nearestRows(embedding: HostArray, id: number, count: number): number[] {
  const [rows = 0, width = 0] = embedding.shape;
  const { data } = embedding;
  const cosine = (other: number): number => {
    let dot = 0;
    let square = 0;
    for (let c = 0; c < width; c++) {
      const value = data[other * width + c] as number;
      dot += value * (data[id * width + c] as number);
      square += value * value;
    }
    return dot / Math.sqrt(square);
  };
  const cosines = Float64Array.from({ length: rows }, (_, row) => cosine(row));
  return Array.from({ length: rows }, (_, row) => row)
    .filter((row) => row !== id)
    .sort((a, b) => (cosines[b] as number) - (cosines[a] as number))
    .slice(0, count);
}
