/** Sums over units: products, their sizes and sizes alone, with padding and in a fixed order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import {
  runnableVariants,
  side,
  testKernel,
  type BufferSpec,
  type Tolerance,
} from "../support/kernel-suite.ts";

interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly U: number;
  readonly S: number;
  readonly padded: boolean;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: side(4),
  T: side(12),
  U: side(30),
  // Channels have one element, heads many.
  S: fc.oneof(fc.constant(1), side(70, 1)),
  padded: fc.boolean(),
});

type Name = "out" | "a" | "b" | "lengths";

function buffers({ B, T, U, S }: Sizes): Record<Name, BufferSpec> {
  return {
    out: { role: "out", length: B * U },
    a: { role: "in", length: B * T * U * S },
    b: { role: "in", length: B * T * U * S },
    lengths: { role: "in", type: "i32", length: B, fill: (rng) => rng.int(T + 2) },
  };
}

/** Rounding of up to T S terms of the given size in f32, in any order. */
function rounding({ T, S }: Sizes, termSize: number): Tolerance {
  return { relative: 1e-6, absolute: 2e-7 * T * S * termSize };
}

testKernel({
  name: "unitDotsF32 sums products over the valid tokens of each sequence",
  sizes,
  buffers,
  call: (kernels, at, { B, T, U, S, padded }) =>
    kernels.unitDotsF32(at.out, at.a, at.b, padded ? at.lengths : 0, B, T, U, S),
  tolerance: (drawn, magnitude) => rounding(drawn, magnitude ** 2),
});

testKernel({
  name: "unitAbsDotsF32 sums the sizes of products",
  sizes,
  buffers,
  call: (kernels, at, { B, T, U, S, padded }) =>
    kernels.unitAbsDotsF32(at.out, at.a, at.b, padded ? at.lengths : 0, B, T, U, S),
  tolerance: (drawn, magnitude) => rounding(drawn, magnitude ** 2),
});

testKernel({
  name: "unitAbsSumsF32 sums the sizes of values",
  sizes,
  buffers,
  call: (kernels, at, { B, T, U, S, padded }) =>
    kernels.unitAbsSumsF32(at.out, at.a, padded ? at.lengths : 0, B, T, U, S),
  tolerance: rounding,
});

test("the sums of units have the same bits at every address", () => {
  const [B, T, U] = [2, 7, 13];
  for (const S of [1, 21]) {
    const rng = Rng.fromSeed(`addresses ${S}`);
    const n = B * T * U * S;
    const values = Float32Array.from({ length: 2 * n }, () => rng.normal());
    for (const { kernels, memory } of runnableVariants()) {
      const base = Math.ceil(kernels.heapBase() / 64) * 64;
      const results = Array.from({ length: 5 }, (_, shift) => {
        const at = base + 4 * shift;
        new Float32Array(memory.buffer, at, 2 * n).set(values);
        const out = at + 8 * n + 64;
        kernels.unitDotsF32(out, at, at + 4 * n, 0, B, T, U, S);
        return new Float32Array(memory.buffer, out, B * U).join();
      });
      assert.equal(new Set(results).size, 1);
    }
  }
});
