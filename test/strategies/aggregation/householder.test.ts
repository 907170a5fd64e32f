/** Householder QR: what it promises for matrices of any rank, zero columns and steep ones too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../../src/base/rng.ts";
import {
  type Dense,
  dense,
  gramOf,
  timesTransposed,
  transposed,
} from "../../../src/strategies/aggregation/dense.ts";
import { reflections } from "../../../src/strategies/aggregation/householder.ts";

function identity(size: number): Dense {
  const out = dense(size, size);
  for (let i = 0; i < size; i++) out.data[i * size + i] = 1;
  return out;
}

function expectClose(got: Dense, want: Dense, tolerance: number): void {
  assert.deepEqual([got.rows, got.cols], [want.rows, want.cols]);
  want.data.forEach((value, i) => {
    const difference = Math.abs(value - (got.data[i] ?? Number.NaN));
    assert.ok(difference <= tolerance, `entry ${i} is off by ${difference}`);
  });
}

test("Q has orthonormal columns, R is upper triangular, and Q R is the matrix", () => {
  const problem = fc.record({
    seed: fc.integer(),
    K: fc.integer({ min: 1, max: 8 }),
    extra: fc.integer({ min: 0, max: 8 }),
    // Columns that repeat the first one, and columns of zeros.
    repeated: fc.integer({ min: 0, max: 3 }),
    zero: fc.integer({ min: -1, max: 7 }),
    decades: fc.integer({ min: 0, max: 2 }),
  });
  fc.assert(
    fc.property(problem, ({ seed, K, extra, repeated, zero, decades }) => {
      const rng = Rng.fromSeed(seed);
      const m = dense(K + extra, K);
      for (let i = 0; i < m.rows; i++) {
        for (let k = 0; k < K; k++)
          m.data[i * K + k] = k === zero ? 0 : rng.normal() * 10 ** (-decades * k);
        for (let k = 1; k <= Math.min(repeated, K - 1); k++)
          m.data[i * K + k] = k === zero ? 0 : -2 * (m.data[i * K] as number);
      }
      const { upper, spread } = reflections(m);
      const qRows = spread(identity(K));
      expectClose(gramOf(qRows), identity(K), 1e-14);
      for (let i = 0; i < K; i++)
        for (let k = 0; k < i; k++) assert.equal(upper.data[i * K + k], 0);
      // (Q R)ᵀ = Rᵀ Qᵀ
      expectClose(transposed(spread(transposed(upper))), m, 1e-13);
      const rows = dense(
        2,
        K,
        Float64Array.from({ length: 2 * K }, () => rng.normal()),
      );
      expectClose(spread(rows), timesTransposed(rows, transposed(qRows)), 1e-13);
    }),
  );
});
