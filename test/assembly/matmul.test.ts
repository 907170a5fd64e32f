/** The matrix products against their twins, their bits against a constant, and row by row. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { gflopOf, matmulShapes } from "../../bench/shapes.ts";
import { loadKernels, type LoadedKernels } from "../../src/backend/wasm.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  runnableVariants,
  side,
  testKernel,
  type BufferSpec,
  type Tolerance,
} from "../support/kernel-suite.ts";

interface Sizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** How much wider than its columns each of a, b and out is. */
  readonly padding: readonly [number, number, number];
  readonly alpha: number;
  readonly accumulate: number;
  /** Whether wide tiles are switched on. */
  readonly isWide: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  M: side(70),
  N: side(70),
  K: side(300),
  padding: fc.tuple(side(9), side(9), side(9)),
  alpha: fc.constantFrom(1, 1, -0.5, 0.3, 0),
  accumulate: fc.constantFrom(0, 1),
  isWide: fc.constantFrom(0, 1),
});

const forms = {
  Nn: { a: ["M", "K"], b: ["K", "N"] },
  Nt: { a: ["M", "K"], b: ["N", "K"] },
  Tn: { a: ["K", "M"], b: ["K", "N"] },
} as const;
type Form = keyof typeof forms;
const formNames = Object.keys(forms) as Form[];

/** Elements from the first to the last of a strided matrix, without the last row's padding. */
function extent(rows: number, columns: number, stride: number): number {
  return rows === 0 ? 0 : (rows - 1) * stride + columns;
}

function tolerance({ K }: Sizes, magnitude: number): Tolerance {
  return { relative: 1e-6, absolute: 4e-7 * Math.sqrt(K) * magnitude ** 2 * 4 };
}

for (const form of formNames) {
  const { a, b } = forms[form];
  const name = `matmul${form}F32` as const;
  testKernel({
    name: `${name} agrees with its twin for any sizes, strides, alpha and accumulate`,
    sizes,
    // Of the shapes that are timed, those that plain loops can follow.
    examples: matmulShapes
      .filter((shape) => shape.form === form && gflopOf(shape) < 0.004)
      .map(({ M, N, K }): Sizes => ({ M, N, K, padding: [0, 3, 5], alpha: 1, accumulate: 1, isWide: 1 })),
    runs: 300,
    buffers: (sizes, kernels): Record<"a" | "b" | "out" | "scratch", BufferSpec> => ({
      a: { role: "in", length: extent(sizes[a[0]], sizes[a[1]], sizes[a[1]] + sizes.padding[0]) },
      b: { role: "in", length: extent(sizes[b[0]], sizes[b[1]], sizes[b[1]] + sizes.padding[1]) },
      out: {
        role: sizes.accumulate === 0 ? "out" : "inout",
        length: extent(sizes.M, sizes.N, sizes.N + sizes.padding[2]),
      },
      scratch: {
        role: "scratch",
        length: kernels.matmulScratchBytes(sizes.M, sizes.N, sizes.K) / 4,
      },
    }),
    call: (kernels, at, sizes) => {
      const { M, N, K, padding, alpha, accumulate } = sizes;
      const lda = sizes[a[1]] + padding[0];
      const ldb = sizes[b[1]] + padding[1];
      const ldc = N + padding[2];
      kernels.useWideTiles(sizes.isWide);
      kernels[name](at.out, at.a, at.b, at.scratch, M, N, K, lda, ldb, ldc, alpha, accumulate);
      kernels.useWideTiles(0);
    },
    tolerance,
  });
}

testKernel({
  name: "affineF32 agrees with its twin for any sizes and strides",
  sizes,
  runs: 300,
  buffers: ({ M, N, K, padding }, kernels) => ({
    ...{
      a: { role: "in", length: extent(M, K, K + padding[0]) },
      b: { role: "in", length: extent(N, K, K + padding[1]) },
      bias: { role: "in", length: N },
      out: { role: "out", length: extent(M, N, N + padding[2]) },
    },
    scratch: { role: "scratch", length: kernels.matmulScratchBytes(M, N, K) / 4 },
  }),
  call: (kernels, at, { M, N, K, padding, isWide }) => {
    const strides = [K + padding[0], K + padding[1], N + padding[2]] as const;
    kernels.useWideTiles(isWide);
    kernels.affineF32(at.out, at.a, at.b, at.bias, at.scratch, M, N, K, ...strides);
    kernels.useWideTiles(0);
  },
  tolerance,
});

test("a bias gives the bits of a product that is added to its rows", () => {
  for (const { kernels, memory } of runnableVariants()) {
    for (const [M, N, K] of [
      [67, 141, 300],
      [1, 33, 270],
      [5, 20, 4],
    ] as const) {
      const p = layProduct({ kernels, memory }, "Nt", M, N, K);
      const bias = p.a;
      kernels.broadcastRowF32(p.out, bias, M, N);
      kernels.matmulNtF32(p.out, p.a, p.b, p.scratch, M, N, K, K, K, N, 1, 1);
      const want = takeOut(p);
      kernels.affineF32(p.out, p.a, p.b, bias, p.scratch, M, N, K, K, K, N);
      assert.deepEqual(takeOut(p), want);
    }
  }
});

/** Where one product lies in the memory of a kernel set; a and b hold seeded values in [-1, 1). */
interface Product {
  readonly set: Pick<LoadedKernels, "kernels" | "memory">;
  readonly form: Form;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly a: number;
  readonly b: number;
  readonly out: number;
  readonly scratch: number;
}

function layProduct(set: Product["set"], form: Form, M: number, N: number, K: number): Product {
  const a = Math.ceil(set.kernels.heapBase() / 64) * 64;
  const b = a + 4 * M * K;
  const out = b + 4 * K * N;
  const scratch = out + 4 * M * N;
  const missing = scratch + set.kernels.matmulScratchBytes(M, N, K) - set.memory.buffer.byteLength;
  if (missing > 0) set.memory.grow(Math.ceil(missing / 65536));
  const rng = Rng.fromSeed(`${M} ${N} ${K}`);
  new Float32Array(set.memory.buffer, a, M * K + K * N).forEach((_, i, view) => {
    view[i] = 2 * rng.next() - 1;
  });
  return { set, form, M, N, K, a, b, out, scratch };
}

/** Computes the block of `rows` by `columns` from (row, column) on, and nothing else. */
function runBlock(p: Product, row: number, column: number, rows: number, columns: number): void {
  const { M, N, K, form } = p;
  p.set.kernels[`matmul${form}F32`](
    p.out + 4 * (row * N + column),
    p.a + 4 * row * (form === "Tn" ? 1 : K),
    p.b + 4 * column * (form === "Nt" ? K : 1),
    p.scratch,
    rows,
    columns,
    K,
    form === "Tn" ? M : K,
    form === "Nt" ? K : N,
    N,
    1,
    0,
  );
}

/** The bits of out, which is then wiped. */
function takeOut({ set, out, M, N }: Product): Uint8Array {
  const view = new Uint8Array(set.memory.buffer, out, 4 * M * N);
  const copy = view.slice();
  view.fill(0xff);
  return copy;
}

test("an element of a product has the same bits however rows and columns are split, and in tiles of either width", () => {
  for (const set of runnableVariants()) {
    for (const form of formNames) {
      const product = layProduct(set, form, 67, 141, 300);
      runBlock(product, 0, 0, 67, 141);
      const whole = takeOut(product);
      set.kernels.useWideTiles(1);
      runBlock(product, 0, 0, 67, 141);
      assert.deepEqual(takeOut(product), whole, `${set.variant} ${form} in wide tiles`);
      set.kernels.useWideTiles(0);
      for (const [rows, columns] of [
        [1, 141],
        [67, 1],
        [3, 50],
        [13, 16],
        [61, 139],
      ] as const) {
        for (let row = 0; row < 67; row += rows) {
          for (let column = 0; column < 141; column += columns) {
            const height = Math.min(rows, 67 - row);
            runBlock(product, row, column, height, Math.min(columns, 141 - column));
          }
        }
        const pieces = takeOut(product);
        assert.deepEqual(pieces, whole, `${set.variant} ${form} in pieces of ${rows} x ${columns}`);
      }
    }
  }
});

test("the three forms give the same bits for the same product", () => {
  for (const set of runnableVariants()) {
    const K = 290;
    const product = layProduct(set, "Nn", 31, 45, K);
    runBlock(product, 0, 0, 31, 45);
    const want = takeOut(product);
    for (const form of ["Nt", "Tn"] as const) {
      const turned = layProduct(set, form, 31, 45, K);
      const [from, outer] = form === "Nt" ? [turned.b, 45] : [turned.a, 31];
      const view = new Float32Array(set.memory.buffer, from, K * outer);
      view.set(transpose(view.slice(), form === "Nt" ? K : outer, form === "Nt" ? outer : K));
      runBlock(turned, 0, 0, 31, 45);
      assert.deepEqual(takeOut(turned), want, `${set.variant} ${form}`);
    }
  }
});

/** [rows, columns] row-major to [columns, rows]. */
function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  return data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number);
}

test("the strict products have the same bits on every machine", () => {
  const set = loadKernels({ variant: "simd" });
  const hash = createHash("sha256");
  for (const form of formNames) {
    for (const [M, N, K] of [
      [96, 96, 96],
      [1, 77, 513],
      [7, 40, 600],
      [65, 9, 257],
    ] as const) {
      const product = layProduct(set, form, M, N, K);
      runBlock(product, 0, 0, M, N);
      hash.update(takeOut(product));
    }
  }
  assert.equal(
    hash.digest("hex"),
    "b5c7ed54f47b391a89806c0f305829c7d80435262f315677de82fab971ee4497",
  );
});
