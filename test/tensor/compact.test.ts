/** Rows and columns taken out in place, against plain arrays. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostArray, takeCols, takeRows } from "../../src/base/arrays.ts";
import { ShapeError } from "../../src/base/errors.ts";
import { keepCols, keepRows } from "../../src/tensor/compact.ts";
import { Engine } from "../../src/tensor/engine.ts";

const engine = Engine.create();

test("a compacted tensor holds the chosen rows and columns and no more memory than they need", () => {
  const side = fc.integer({ min: 1, max: 40 });
  const matrix = fc.tuple(side, side).chain(([rows, cols]) =>
    fc.record({
      rows: fc.constant(rows),
      cols: fc.constant(cols),
      keptRows: fc.subarray(indices(rows), { minLength: 1 }),
      keptCols: fc.subarray(indices(cols), { minLength: 1 }),
    }),
  );
  fc.assert(
    fc.property(matrix, ({ rows, cols, keptRows, keptCols }) => {
      const host = hostArray([rows, cols], Float32Array.from(indices(rows * cols)));
      const before = engine.stats.state;
      const tensor = engine.fromHost(host, "state");
      keepRows(engine, tensor, keptRows);
      keepCols(engine, tensor, keptCols);
      const expected = takeCols(takeRows(host, keptRows), keptCols);
      assert.deepEqual(tensor.shape, expected.shape);
      assert.deepEqual(tensor.toHost(), expected.data);
      const bytes = 64 * Math.ceil((4 * expected.data.length) / 64);
      assert.equal(engine.stats.state - before, bytes);
      engine.free(tensor);
    }),
  );
});

test("elements of a vector are its rows", () => {
  const vector = engine.fromHost(hostArray([4], Float32Array.of(5, 6, 7, 8)), "weights");
  keepRows(engine, vector, [1, 3]);
  assert.deepEqual([vector.shape, ...vector.toHost()], [[2], 6, 8]);
});

test("a tensor cannot grow", () => {
  const tensor = engine.zeros([2, 3], "state");
  assert.throws(() => engine.shrink(tensor, [3, 3]), ShapeError);
  assert.deepEqual(tensor.shape, [2, 3]);
});

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
