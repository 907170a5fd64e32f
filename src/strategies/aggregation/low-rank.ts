/** The best rank-R factors of a product of tall factors, without ever forming the product. */
import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import { Rng } from "../../base/rng.ts";

/** The product `b * a` of b [out, K] and a [K, in], as rows in double precision. */
export interface Factors {
  readonly b: readonly Float64Array[];
  readonly a: readonly Float64Array[];
}

export interface Truncation extends Factors {
  /** Squared singular values that were cut off, and all of them. */
  readonly discarded: number;
  readonly total: number;
}

/** Singular values under this share of the largest are rounding noise of double precision. */
const NOISE = 1e-12;

/**
 * Eckart-Young truncation of `b * a` to rank R, balanced: b' = Q_b U S^(1/2) and a' = S^(1/2) V^T Q_a^T, where Q_b R_b = b,
 * Q_a R_a = a^T and U S V^T = R_b R_a^T; directions come in order of their singular value. A direction without energy gets a zero
 * column in b' and a seeded random row of length about one in a', as LoRA itself starts: two zero factors could never learn.
 */
export function truncateProduct({ b, a }: Factors, rank: number): Truncation {
  const numOutputs = b.length;
  const numInputs = a[0]?.length ?? 0;
  const left = orthogonalise(new Matrix(b.map((row) => [...row])));
  const right = orthogonalise(new Matrix(a.map((row) => [...row])).transpose());
  const small = left.upper.mmul(right.upper.transpose());
  const svd = new SingularValueDecomposition(small, { autoTranspose: true });
  const values = svd.diagonal;
  const outDirections = left.basis(firstColumns(svd.leftSingularVectors, rank));
  const inDirections = right.basis(firstColumns(svd.rightSingularVectors, rank));
  const kept = {
    b: Array.from({ length: numOutputs }, () => new Float64Array(rank)),
    a: Array.from({ length: rank }, () => new Float64Array(numInputs)),
  };
  for (const [r, row] of kept.a.entries()) {
    const value = values[r] ?? 0;
    if (value > NOISE * (values[0] ?? 0)) {
      const root = Math.sqrt(value);
      for (let i = 0; i < numInputs; i++) row[i] = root * inDirections.get(i, r);
      for (const [o, out] of kept.b.entries()) out[r] = root * outDirections.get(o, r);
    } else {
      const rng = Rng.fromSeed(`spare direction ${r}`);
      for (let i = 0; i < numInputs; i++) row[i] = rng.normal() / Math.sqrt(numInputs);
    }
  }
  return { ...kept, discarded: energy(values.slice(rank)), total: energy(values) };
}

function firstColumns(m: Matrix, count: number): Matrix {
  return m.columns <= count ? m : m.subMatrix(0, m.rows - 1, 0, count - 1);
}

function energy(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

/** Writes m as (orthonormal columns) * upper; a matrix that is not taller than wide is its own `upper`. */
function orthogonalise(m: Matrix): { upper: Matrix; basis: (small: Matrix) => Matrix } {
  if (m.rows <= m.columns) return { upper: m, basis: (small) => small };
  const qr = new QrDecomposition(m);
  return { upper: qr.upperTriangularMatrix, basis: (small) => qr.orthogonalMatrix.mmul(small) };
}
