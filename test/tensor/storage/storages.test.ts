/** Frozen weights in few bits: what they take, their products in both directions, slicing, and what they refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gatherRows } from "../../../src/autograd/ops/gather-rows.ts";
import { crossEntropy } from "../../../src/autograd/ops/cross-entropy.ts";
import { linear, product } from "../../../src/autograd/ops/linear.ts";
import { Tape } from "../../../src/autograd/tape.ts";
import { hostArray, takeCols, takeRows, type HostArray } from "../../../src/base/arrays.ts";
import { bytesOf } from "../../../src/base/base-dtype.ts";
import { KernelError, ShapeError } from "../../../src/base/errors.ts";
import { Rng } from "../../../src/base/rng.ts";
import { keepCols, keepRows } from "../../../src/tensor/compact.ts";
import { Engine } from "../../../src/tensor/engine.ts";
import type { StoredDtype } from "../../../src/tensor/storage/storage.ts";
import { numbersOf, storageOf, storeRows } from "../../../src/tensor/storage/storages.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";

const engine = Engine.create();
const dtypes: readonly StoredDtype[] = ["f16", "int8", "int4"];
/** Largest error beside a product with the same numbers in f32: int8 rounds the other operand as well. */
const productError: Record<StoredDtype, number> = { f16: 1e-6, int8: 0.012, int4: 1e-6 };

function normals(shape: readonly number[], seed: number): HostArray {
  const rng = Rng.fromSeed(seed);
  const host = hostArray(shape);
  host.data.forEach((_, i) => (host.data[i] = rng.normal()));
  return host;
}

function stored(host: HostArray, dtype: StoredDtype): Tensor {
  const weight = engine.empty(host.shape, "weights", dtype);
  storeRows(engine, weight, 0, host.data);
  return weight;
}

/** Root of the mean square of the differences, by that of `want`. */
function relativeError(got: Float32Array, want: Float32Array): number {
  const size = (values: Float32Array): number => Math.sqrt(values.reduce((s, x) => s + x * x, 0));
  return size(got.map((x, i) => x - (want[i] as number))) / size(want);
}

for (const dtype of dtypes) {
  test(`${dtype}: slicing rows and columns is slicing the numbers, and gives the memory back`, () => {
    const side = fc.integer({ min: 1, max: 80 });
    const matrix = fc.tuple(side, side).chain(([rows, cols]) =>
      fc.record({
        host: fc.integer({ min: 1, max: 99 }).map((seed) => normals([rows, cols], seed)),
        keptRows: fc.subarray(indices(rows), { minLength: 1 }),
        keptCols: fc.subarray(indices(cols), { minLength: 1 }),
      }),
    );
    fc.assert(
      fc.property(matrix, ({ host, keptRows, keptCols }) => {
        const before = engine.stats.weights;
        const weight = stored(host, dtype);
        const numbers = hostArray(host.shape, numbersOf(engine, weight));
        keepRows(engine, weight, keptRows);
        assert.deepEqual(numbersOf(engine, weight), takeRows(numbers, keptRows).data);
        keepCols(engine, weight, keptCols);
        const left = takeCols(takeRows(numbers, keptRows), keptCols);
        // Only int4 finds new neighbours for its numbers.
        const isWhole = keptCols.length === host.shape[1];
        const regrouped = stored(left, dtype);
        const want = dtype === "int4" && !isWhole ? numbersOf(engine, regrouped) : left.data;
        assert.deepEqual(numbersOf(engine, weight), want);
        const bytes = bytesOf(dtype, keptRows.length, keptCols.length);
        assert.equal(weight.byteLength, bytes);
        engine.free(regrouped);
        assert.equal(engine.stats.weights - before, 64 * Math.ceil(bytes / 64));
        engine.free(weight);
      }),
    );
  });

  test(`${dtype}: a linear layer and the gradient of its input are those of the stored numbers`, () => {
    const [M, N, K] = [13, 70, 90];
    const weight = stored(normals([N, K], 3), dtype);
    const numbers = engine.fromHost(hostArray([N, K], numbersOf(engine, weight)), "weights");
    const run = (w: Tensor): [Float32Array, Float32Array] =>
      engine.step(() => {
        const tape = new Tape(engine);
        const x = engine.fromHost(normals([M, K], 4));
        x.requiresGrad = true;
        const logits = linear(tape, x, w, engine.fromHost(normals([N], 5)));
        tape.backward(crossEntropy(tape, logits, indices(M)));
        return [logits.toHost(), tape.gradient(x)?.toHost() ?? new Float32Array(0)];
      });
    const [wantLogits, wantGradient] = run(numbers);
    const [logits, gradient] = run(weight);
    assert.ok(relativeError(logits, wantLogits) <= productError[dtype]);
    assert.ok(relativeError(gradient, wantGradient) <= productError[dtype]);
    engine.free(numbers);
    engine.free(weight);
  });

  test(`${dtype}: rows of a table come back as its numbers`, () => {
    const table = stored(normals([9, 21], 7), dtype);
    const numbers = hostArray(table.shape, numbersOf(engine, table));
    const ids = [3, 0, 8, 3];
    const got = engine.step(() => gatherRows(new Tape(engine), table, ids).toHost());
    assert.deepEqual(got, takeRows(numbers, ids).data);
    engine.free(table);
  });

  test(`${dtype}: a gradient, a product into the weights and reading them as f32 are refused`, () => {
    const weight = stored(normals([4, 6], 8), dtype);
    assert.throws(() => (weight.requiresGrad = true), /load the base in f32 to train/);
    assert.throws(() => weight.f32, ShapeError);
    engine.step(() => {
      const [left, right] = [engine.zeros([4, 2]), engine.zeros([2, 6])];
      const merge = (): Tensor => product(engine, "Nn", left, right, { out: weight });
      assert.throws(merge, /merge an adapter/);
      assert.throws(() => product(engine, "Tn", engine.zeros([4, 3]), weight), ShapeError);
    });
    engine.free(weight);
  });
}

test("f16 holds binary16 numbers exactly, int8 and int4 what they quantised once before", () => {
  for (const dtype of dtypes) {
    const once = stored(normals([5, 64], 9), dtype);
    const numbers = numbersOf(engine, once);
    const twice = stored(hostArray([5, 64], numbers), dtype);
    assert.deepEqual(numbersOf(engine, twice), numbers, dtype);
  }
});

test("only matrices are stored in few bits, and f32 is no storage", () => {
  assert.throws(() => engine.empty([8], "weights", "int8"), ShapeError);
  assert.throws(() => storageOf(engine.zeros([2, 2], "state")), KernelError);
});

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
