/** Which calls are shared out, along what, and where the shares begin. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { divide, shareArguments, type Division } from "../../../src/backend/threads/split.ts";
import { sharedKernels, splitsOf } from "../../../src/backend/threads/splits.ts";
import { loadKernels } from "../../../src/backend/wasm.ts";

const leastShareNs = 8000;

/** The division of an f32 product out[M,N] = a[M,K] b[N,K]^T at made-up addresses. */
function divideProduct(M: number, N: number, K: number, threads: number): Division | null {
  const args = [1024, 2048, 4096, 8192, M, N, K, K, K, N, 1, 0];
  return divide(splitsOf("matmulNtF32"), args, threads, leastShareNs);
}

/** The argument along which a product is divided. */
const along = (division: Division | null): string =>
  division === null ? "whole" : division.split.count === 4 ? "rows" : "columns";

test("a small call stays whole, and so does any on one thread", () => {
  assert.equal(divideProduct(4, 16, 16, 2), null);
  assert.equal(divideProduct(1024, 512, 512, 1), null);
  assert.equal(along(divideProduct(64, 128, 128, 2)), "rows");
});

test("a product is divided by whole blocks of columns, else by rows, else by tiles of columns", () => {
  assert.equal(along(divideProduct(1024, 2048, 512, 2)), "columns");
  assert.equal(divideProduct(1024, 2048, 512, 2)?.split.grain, 128);
  assert.equal(along(divideProduct(1024, 512, 512, 2)), "columns");
  assert.equal(along(divideProduct(1024, 512, 512, 3)), "rows");
  assert.equal(along(divideProduct(1024, 8, 512, 2)), "rows");
  assert.equal(along(divideProduct(8, 128, 1024, 2)), "columns");
  assert.equal(along(divideProduct(1, 768, 768, 2)), "columns");
});

test("a long call has a long and a short share for every thread, a lesser one equal shares", () => {
  const { shares, longShares } = divideProduct(1024, 2048, 512, 4) ?? {};
  assert.deepEqual([shares, longShares], [8, 4]);
  const lesser = divideProduct(1024, 128, 128, 4);
  assert.ok(lesser !== null);
  assert.equal(lesser.shares, lesser.longShares);
  assert.equal(lesser.shares, 4);
});

test("a call that also sums over its rows stays whole", () => {
  const args = (dWeight: number): number[] => [64, dWeight, 0, 64, 64, 64, 64, 64, 1024, 256];
  assert.ok(divide(splitsOf("layerNormBackwardF32"), args(0), 2, leastShareNs));
  assert.equal(divide(splitsOf("layerNormBackwardF32"), args(64), 2, leastShareNs), null);
});

test("the shares of a call follow each other without gap or overlap, and pointers go along", () => {
  const [split] = splitsOf("addF32");
  assert.ok(split);
  const property = fc.property(
    fc.integer({ min: 0, max: 5000 }),
    fc.integer({ min: 1, max: 16 }),
    fc.integer({ min: 0, max: 16 }),
    (n, longShares, shortShares) => {
      const shares = longShares + shortShares;
      const call = { shares, longShares, scratchStride: 0, kernel: 0, split: 0 };
      let done = 0;
      for (let share = 0; share < shares; share++) {
        const args = shareArguments(split, { ...call, args: [4096, 0, 8192, n] }, share, 1);
        const [out, a, b, count = NaN] = args;
        // The address 0 stands for nothing and stays.
        assert.deepEqual([out, a, b], [4096 + 4 * done, 0, 8192 + 4 * done]);
        assert.ok((count >= 0 && (done + count) % split.grain === 0) || done + count === n);
        done += count;
      }
      assert.equal(done, n);
    },
  );
  fc.assert(property, { seed: 3 });
});

test("threads have their parts of scratch behind each other", () => {
  const [split] = splitsOf("matmulNtF32");
  assert.ok(split);
  const call = { shares: 2, longShares: 2, scratchStride: 640, kernel: 0, split: 0 };
  const args = [0, 0, 0, 8192, 8, 256, 8, 8, 8, 256, 1, 0];
  assert.equal(shareArguments(split, { ...call, args }, 1, 0)[3], 8192);
  assert.equal(shareArguments(split, { ...call, args }, 0, 3)[3], 8192 + 3 * 640);
  const [alone, three] = [loadKernels(), loadKernels({ threads: 3 })];
  const bytes = alone.kernels.matmulScratchBytes(8, 256, 8);
  assert.equal(three.kernels.matmulScratchBytes(8, 256, 8), 3 * Math.ceil(bytes / 64) * 64);
  three.dispose();
});

/** Kernels that are small, called once, or made of sums that must not be cut. */
const whole = new Set([
  ...["heapBase", "useWideTiles", "int8DotOffset"],
  // Sums over all elements or rows.
  ...["sumF32", "sumSquaresF32", "dotF32", "sumRowsF32", "countNonFiniteF32", "scatterAddRowsF32"],
  // Its ranges may overlap.
  "copyF32",
  // One token.
  "attentionDecodeF32",
]);

test("every kernel is shared out, or stays whole for a reason", () => {
  const names = Object.entries<unknown>(loadKernels().kernels)
    .filter(([name, value]) => typeof value === "function" && !name.endsWith("ScratchBytes"))
    .map(([name]) => name);
  const undecided = names.filter((name) => !whole.has(name) && !isShared(name));
  assert.deepEqual(undecided, []);
  assert.deepEqual([...whole].filter(isShared), []);
});

function isShared(name: string): boolean {
  return (sharedKernels as readonly string[]).includes(name);
}
