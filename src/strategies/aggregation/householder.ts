/** QR by Householder reflections on flat rows: Q is never formed, only applied. Golub and Van Loan, Matrix Computations, 5.2. */
import { type Dense, dense, transposed } from "./dense.ts";

/** m = Q R of a matrix [N, K] with K up to N. */
export interface Reflections {
  /** R [K, K], upper triangular. */
  readonly upper: Dense;
  /** Rows x [n, K] to rows x Qᵀ [n, N]: their lengths and angles stay. */
  readonly spread: (rows: Dense) => Dense;
}

/** Works for matrices of any rank; a column that depends on those before it gives a zero on R's diagonal. */
export function reflections(m: Dense): Reflections {
  const [N, K] = [m.rows, m.cols];
  // Column k of m is row k here; below its diagonal it becomes the k-th mirror, of length √2.
  const vectors = transposed(m).data;
  const upper = dense(K, K);
  for (let k = 0; k < K; k++) {
    for (let j = 0; j < k; j++) upper.data[j * K + k] = vectors[k * N + j] as number;
    const at = k * N + k;
    const length = Math.sqrt(inner(vectors, at, vectors, at, N - k));
    const first = vectors[at] as number;
    upper.data[k * K + k] = first > 0 ? -length : length;
    if (length === 0) continue;
    // The sign that adds: no digits are lost to cancellation.
    const head = first > 0 ? first + length : first - length;
    vectors[at] = head;
    const factor = 1 / Math.sqrt(length * Math.abs(head));
    for (let i = at; i < (k + 1) * N; i++) vectors[i] = (vectors[i] as number) * factor;
    for (let j = k + 1; j < K; j++) reflect(vectors, at, vectors, j * N + k, N - k);
  }
  return {
    upper,
    spread(rows) {
      const out = dense(rows.rows, N);
      for (let r = 0; r < rows.rows; r++) {
        out.data.set(rows.data.subarray(r * K, (r + 1) * K), r * N);
        for (let k = K - 1; k >= 0; k--) reflect(vectors, k * N + k, out.data, r * N + k, N - k);
      }
      return out;
    },
  };
}

/** x -= v (v . x) */
function reflect(v: Float64Array, vAt: number, x: Float64Array, xAt: number, length: number): void {
  const along = inner(v, vAt, x, xAt, length);
  for (let i = 0; i < length; i++)
    x[xAt + i] = (x[xAt + i] as number) - along * (v[vAt + i] as number);
}

function inner(x: Float64Array, xAt: number, y: Float64Array, yAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (x[xAt + i] as number) * (y[yAt + i] as number);
  return sum;
}
