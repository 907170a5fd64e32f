/** The best rank-R factors of a product of two factors. */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { Rng } from "../../base/rng.ts";
import { type Dense, dense, gramOf, timesTransposed, transposed } from "./dense.ts";
import { type Reflections, reflections } from "./householder.ts";

/** The product `left rightᵀ` of left [out, K] and right [in, K]: one column of each per direction. */
export interface Factors {
  readonly left: Dense;
  readonly right: Dense;
}

export interface Truncation {
  readonly factors: Factors;
  /** Squared singular values that were cut off, and all of them. */
  readonly discarded: number;
  readonly total: number;
}

/** Where the singular values go: their roots into both factors, or all into the left one. */
export type Split = "even" | "left";

/** Directions under this share of the largest singular value are noise: factors come as float32 and go as float32. */
const NOISE = 1e-7;

/**
 * Eckart-Young truncation to rank R with directions in order of their singular values, so that a prefix is the best smaller one. A
 * direction without energy gets a zero column on the left and a random one on the right, as LoRA itself starts: two zero factors
 * could never learn. The product is formed only when K is not below its smaller side.
 */
export function truncateProduct({ left, right }: Factors, rank: number, split: Split): Truncation {
  const isTall = left.rows >= right.rows;
  const [long, short] = isTall ? [left, right] : [right, left];
  if (short.cols >= short.rows)
    return cut({ rest: timesTransposed(short, long), basis: null, isTall }, rank, split);
  const basis = reflections(short);
  return cut({ rest: timesTransposed(basis.upper, long), basis, isTall }, rank, split);
}

/** The same of a matrix [out, in]. */
export function truncateMatrix(m: Dense, rank: number, split: Split): Truncation {
  const isTall = m.rows >= m.cols;
  return cut({ rest: isTall ? transposed(m) : m, basis: null, isTall }, rank, split);
}

/** A matrix, or its transpose if it is tall, as `basis rest`: [short side, n] with orthonormal columns times [n, long side]. */
interface Reduced {
  readonly rest: Dense;
  /** null = the identity. */
  readonly basis: Reflections | null;
  readonly isTall: boolean;
}

/**
 * The singular directions are the eigenvectors of the small `rest restᵀ`. The square hides singular values below 1e-8 of the
 * largest, which float32 factors do not hold; what is kept is a projection of `rest` itself, and as exact as `rest`.
 */
function cut({ rest, basis, isTall }: Reduced, rank: number, split: Split): Truncation {
  const gram = gramOf(rest);
  const directions = leadingEigenvectors(gram, rank);
  // Row r is the r-th singular vector of the long side times its singular value.
  const longRows = timesTransposed(directions, transposed(rest));
  const shortRows = basis === null ? directions : basis.spread(directions);
  const values = rowLengths(longRows);
  const total = traceOf(gram);
  const kept = values.reduce((sum, value) => sum + value * value, 0);
  const floor = NOISE * Math.max(...values);
  const isSpare = (r: number): boolean => (values[r] ?? 0) <= floor;
  // The rows of the long side are as long as their singular value, those of the short side as long as one.
  const weigh = (isLeft: boolean): number[] =>
    values.map((value, r) => {
      const leftLength = split === "even" ? Math.sqrt(value) : value;
      const length = isLeft ? leftLength : value / leftLength;
      return isSpare(r) ? 0 : isLeft === isTall ? length / value : length;
    });
  const left = columns(isTall ? longRows : shortRows, weigh(true), rank);
  const right = columns(isTall ? shortRows : longRows, weigh(false), rank);
  for (let r = 0; r < rank; r++) if (isSpare(r)) setColumn(right, r, spareDirection(r, right.rows));
  return { factors: { left, right }, discarded: Math.max(0, total - kept), total };
}

/** A random vector of length about one, the same for every layer of this size. */
export function spareDirection(index: number, length: number): Float64Array {
  const rng = Rng.fromSeed(`spare direction ${index}`);
  return Float64Array.from({ length }, () => rng.normal() / Math.sqrt(length));
}

/** Unit eigenvectors of a symmetric matrix as rows, largest eigenvalue first, `count` of them or all. */
function leadingEigenvectors(m: Dense, count: number): Dense {
  // Values ascend: the last column belongs to the largest one.
  const { eigenvectorMatrix } = new EigenvalueDecomposition(
    Matrix.from1DArray(m.rows, m.rows, m.data),
    { assumeSymmetric: true },
  );
  const rows = Math.min(count, m.rows);
  const vectors = dense(rows, m.rows);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < m.rows; i++)
      vectors.data[r * m.rows + i] = eigenvectorMatrix.get(i, m.rows - 1 - r);
  }
  return vectors;
}

function rowLengths({ rows, cols, data }: Dense): number[] {
  return Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let i = r * cols; i < (r + 1) * cols; i++) sum += (data[i] as number) ** 2;
    return Math.sqrt(sum);
  });
}

function traceOf({ rows, data }: Dense): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) sum += data[i * rows + i] as number;
  return sum;
}

/** Row r times `weights[r]` as column r of `count`; columns beyond the rows are zero. */
function columns(m: Dense, weights: readonly number[], count: number): Dense {
  const out = dense(m.cols, count);
  for (let r = 0; r < m.rows; r++) {
    const weight = weights[r] as number;
    for (let i = 0; i < m.cols; i++)
      out.data[i * count + r] = weight * (m.data[r * m.cols + i] as number);
  }
  return out;
}

function setColumn({ cols, data }: Dense, col: number, values: Float64Array): void {
  values.forEach((value, i) => (data[i * cols + col] = value));
}
