/** Products of matrices in double precision, flat and blocked: fast enough to merge a large fleet on one core. */

/** Row-major [rows, cols]. */
export interface Dense {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

export function dense(rows: number, cols: number, data?: Float64Array): Dense {
  return { rows, cols, data: data ?? new Float64Array(rows * cols) };
}

/** x yᵀ of x [M, K] and y [N, K], as [M, N]: both are read along their rows. */
export function timesTransposed(x: Dense, y: Dense): Dense {
  const out = dense(x.rows, y.rows);
  multiply(x, y, out, false);
  return out;
}

/** x xᵀ, half of it computed. */
export function gramOf(x: Dense): Dense {
  const out = dense(x.rows, x.rows);
  multiply(x, x, out, true);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < i; j++) out.data[j * x.rows + i] = out.data[i * x.rows + j] as number;
  }
  return out;
}

export function transposed({ rows, cols, data }: Dense): Dense {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) out[j * rows + i] = data[i * cols + j] as number;
  }
  return dense(cols, rows, out);
}

/** Tiles of 4 x 2 inner products: eight sums in registers, six numbers read for each eight products. */
function multiply(
  { rows: M, cols: K, data: x }: Dense,
  { rows: N, data: y }: Dense,
  { data: out }: Dense,
  isSymmetric: boolean,
): void {
  for (let i = 0; i < M; i += 4) {
    const height = Math.min(4, M - i);
    // Of a symmetric result the tiles that touch the lower triangle are enough.
    const width = isSymmetric ? Math.min(N, i + height) : N;
    const wholeTiles = height === 4 ? width - (width % 2) : 0;
    for (let j = 0; j < wholeTiles; j += 2) tile(x, y, K, i, j, out, N);
    for (let r = i; r < i + height; r++) {
      for (let j = wholeTiles; j < width; j++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += (x[r * K + k] as number) * (y[j * K + k] as number);
        out[r * N + j] = sum;
      }
    }
  }
}

function tile(
  x: Float64Array,
  y: Float64Array,
  K: number,
  i: number,
  j: number,
  out: Float64Array,
  N: number,
): void {
  const [x0, x1, x2, x3] = [i * K, (i + 1) * K, (i + 2) * K, (i + 3) * K];
  const [y0, y1] = [j * K, (j + 1) * K];
  let [s00, s01, s10, s11, s20, s21, s30, s31] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < K; k++) {
    const p = y[y0 + k] as number;
    const q = y[y1 + k] as number;
    const a = x[x0 + k] as number;
    const b = x[x1 + k] as number;
    const c = x[x2 + k] as number;
    const d = x[x3 + k] as number;
    s00 += a * p;
    s01 += a * q;
    s10 += b * p;
    s11 += b * q;
    s20 += c * p;
    s21 += c * q;
    s30 += d * p;
    s31 += d * q;
  }
  const at = i * N + j;
  out[at] = s00;
  out[at + 1] = s01;
  out[at + N] = s10;
  out[at + N + 1] = s11;
  out[at + 2 * N] = s20;
  out[at + 2 * N + 1] = s21;
  out[at + 3 * N] = s30;
  out[at + 3 * N + 1] = s31;
}
