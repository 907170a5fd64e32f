/** Truncation against a plain singular value decomposition, for every shape of problem that an aggregation meets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { Rng } from "../../../src/base/rng.ts";
import { type Dense, dense, timesTransposed } from "../../../src/strategies/aggregation/dense.ts";
import {
  type Factors,
  truncateMatrix,
  truncateProduct,
} from "../../../src/strategies/aggregation/low-rank.ts";

/** Factors of `devices` devices that all started from the same ones: far from orthogonal. */
function nearlyParallel(rng: Rng, out: number, inputs: number, devices: number): Factors {
  const R = 4;
  const K = devices * R;
  const fill = (rows: number, spread: number): Dense => {
    const shared = Array.from({ length: rows * R }, () => rng.normal());
    const values = Float64Array.from({ length: rows * K }, (_, i) => {
      const [row, k] = [Math.floor(i / K), i % K];
      return (shared[row * R + (k % R)] ?? 0) + spread * rng.normal();
    });
    return dense(rows, K, values);
  };
  return { left: fill(out, 1e-3), right: fill(inputs, 1e-3) };
}

function svdOf({ left, right }: Factors): SingularValueDecomposition {
  const product = timesTransposed(left, right);
  const m = Matrix.from1DArray(product.rows, product.cols, product.data);
  return new SingularValueDecomposition(m, { autoTranspose: true });
}

/** ||x - y||_F / ||y||_F */
function distance(x: Dense, y: Dense): number {
  let [difference, size] = [0, 0];
  y.data.forEach((value, i) => {
    difference += (value - (x.data[i] ?? Number.NaN)) ** 2;
    size += value * value;
  });
  return Math.sqrt(difference / size);
}

function best(svd: SingularValueDecomposition, rank: number): Dense {
  const m = svd.leftSingularVectors
    .subMatrixColumn([...Array(rank).keys()])
    .mmul(Matrix.diag(svd.diagonal.slice(0, rank)))
    .mmul(svd.rightSingularVectors.subMatrixColumn([...Array(rank).keys()]).transpose());
  return dense(m.rows, m.columns, Float64Array.from(m.to1DArray()));
}

const problems: Record<string, [number, number, number]> = {
  "tall, few directions": [60, 24, 3],
  "wide, few directions": [24, 60, 3],
  "tall, more directions than inputs": [60, 24, 9],
  "wide, more directions than outputs": [24, 60, 9],
  "square, as many directions as sides": [24, 24, 6],
};
for (const [what, [out, inputs, devices]] of Object.entries(problems)) {
  test(`truncation is the best one, and a prefix of it the best smaller one: ${what}`, () => {
    const factors = nearlyParallel(Rng.fromSeed(what), out, inputs, devices);
    const svd = svdOf(factors);
    const energy = svd.diagonal.reduce((sum, value) => sum + value * value, 0);
    for (const split of ["even", "left"] as const) {
      const cut = truncateProduct(factors, 6, split);
      const dropped = svd.diagonal.slice(6).reduce((sum, value) => sum + value * value, 0);
      assert.ok(Math.abs(cut.total / energy - 1) < 1e-12);
      assert.ok(Math.abs(cut.discarded - dropped) < 1e-13 * energy);
      for (const rank of [1, 3, 4, 6]) {
        const [left, right] = [cut.factors.left, cut.factors.right].map((side) =>
          prefix(side, rank),
        );
        assert.ok(left !== undefined && right !== undefined);
        const got = distance(timesTransposed(left, right), best(svd, rank));
        assert.ok(got < 1e-7, `rank ${rank} differs by ${got}`);
      }
      const whole = truncateMatrix(timesTransposed(factors.left, factors.right), 6, split);
      const [x, y] = [whole, cut].map(({ factors: { left, right } }) =>
        timesTransposed(left, right),
      );
      assert.ok(x !== undefined && y !== undefined && distance(x, y) < 1e-7);
    }
  });
}

test("with room for every direction nothing above the noise is lost, whatever their sizes", () => {
  const rng = Rng.fromSeed("decades");
  const column = (rows: number, K: number, decades: number): Dense =>
    dense(
      rows,
      K,
      Float64Array.from({ length: rows * K }, (_, i) => rng.normal() * 10 ** (-decades * (i % K))),
    );
  for (const K of [5, 12]) {
    // Direction k is 10^-k of the first in size.
    const factors = { left: column(16, K, 1), right: column(10, K, 0) };
    const { left, right } = truncateProduct(factors, 12, "even").factors;
    const exact = timesTransposed(factors.left, factors.right);
    const got = distance(timesTransposed(left, right), exact);
    assert.ok(got < 1e-7, `K ${K} differs by ${got}`);
  }
});

test("a product that is zero gives a zero left factor and a right one that can learn", () => {
  const zero = { left: dense(6, 2), right: dense(4, 2, new Float64Array(8).fill(1)) };
  const { factors, discarded, total } = truncateProduct(zero, 3, "even");
  assert.deepEqual([discarded, total], [0, 0]);
  assert.ok(factors.left.data.every((value) => value === 0));
  for (let r = 0; r < 3; r++)
    assert.ok(Math.hypot(...factors.right.data.filter((_, i) => i % 3 === r)) > 0.1);
});

/** The first columns. */
function prefix({ rows, cols, data }: Dense, count: number): Dense {
  return dense(
    rows,
    count,
    data.filter((_, i) => i % cols < count),
  );
}
