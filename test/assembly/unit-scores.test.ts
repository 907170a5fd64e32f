/** Sums over units: products, their sizes and sizes alone, per packed sequence and in a fixed order. */
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
import { offsetsOf, offsetsSpec } from "../support/packed-sizes.ts";

interface Sizes {
  readonly lengths: readonly number[];
  readonly U: number;
  readonly S: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  lengths: fc.array(side(12), { maxLength: 4 }),
  U: side(30),
  // Channels have one element, heads many.
  S: fc.oneof(fc.constant(1), side(70, 1)),
});

type Name = "out" | "a" | "b" | "offsets";

function buffers({ lengths, U, S }: Sizes): Record<Name, BufferSpec> {
  const elements = (offsetsOf(lengths).at(-1) as number) * U * S;
  return {
    out: { role: "out", length: lengths.length * U },
    a: { role: "in", length: elements },
    b: { role: "in", length: elements },
    offsets: offsetsSpec(lengths),
  };
}

/** Rounding of as many terms of the given size in f32 as a sequence has for a unit, in any order. */
function rounding({ lengths, S }: Sizes, termSize: number): Tolerance {
  return { relative: 1e-6, absolute: 2e-7 * Math.max(0, ...lengths) * S * termSize };
}

testKernel({
  name: "unitDotsF32 sums products over the tokens of each sequence",
  sizes,
  buffers,
  call: (kernels, at, { lengths, U, S }) =>
    kernels.unitDotsF32(at.out, at.a, at.b, at.offsets, lengths.length, 0, U, S),
  tolerance: (drawn, magnitude) => rounding(drawn, magnitude ** 2),
});

testKernel({
  name: "unitAbsDotsF32 sums the sizes of products",
  sizes,
  buffers,
  call: (kernels, at, { lengths, U, S }) =>
    kernels.unitAbsDotsF32(at.out, at.a, at.b, at.offsets, lengths.length, 0, U, S),
  tolerance: (drawn, magnitude) => rounding(drawn, magnitude ** 2),
});

testKernel({
  name: "unitAbsSumsF32 sums the sizes of values",
  sizes,
  buffers,
  call: (kernels, at, { lengths, U, S }) =>
    kernels.unitAbsSumsF32(at.out, at.a, at.offsets, lengths.length, 0, U, S),
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
