/** The blocked products against the plain loops that they stand for. */
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

const side = fc.integer({ min: 0, max: 11 });

function random(rng: Rng, rows: number, cols: number): Dense {
  const values = Float64Array.from({ length: rows * cols }, () => rng.normal());
  return dense(rows, cols, values);
}

function plain(x: Dense, y: Dense): number[] {
  const out: number[] = [];
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < y.rows; j++) {
      let sum = 0;
      for (let k = 0; k < x.cols; k++)
        sum += (x.data[i * x.cols + k] ?? 0) * (y.data[j * y.cols + k] ?? 0);
      out.push(sum);
    }
  }
  return out;
}

test("x yᵀ, x xᵀ and the transpose are what their definitions say for any sizes", () => {
  fc.assert(
    fc.property(fc.integer(), side, side, side, (seed, M, N, K) => {
      const rng = Rng.fromSeed(seed);
      const [x, y] = [random(rng, M, K), random(rng, N, K)];
      assert.deepEqual([...timesTransposed(x, y).data], plain(x, y));
      assert.deepEqual([...gramOf(x).data], plain(x, x));
      const turned = transposed(x);
      assert.deepEqual([turned.rows, turned.cols], [K, M]);
      for (let i = 0; i < M; i++) {
        for (let k = 0; k < K; k++) assert.equal(turned.data[k * M + i], x.data[i * K + k]);
      }
    }),
  );
});
