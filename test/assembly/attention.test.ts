/** Attention against its twin: packed sequences, causality, grouped heads, ranges of items, hidden numbers. */
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
  readonly G: number;
  readonly group: number;
  readonly D: number;
  readonly causal: number;
  /** Sequences of the first of two calls, as a share of all. */
  readonly share: number;
}

/** A few panels with a ragged end; now and then longer than a block. */
const length = fc.oneof({ arbitrary: side(24), weight: 9 }, fc.integer({ min: 60, max: 80 }));

const sizes: fc.Arbitrary<Sizes> = fc.record({
  lengths: fc.array(length, { maxLength: 3 }),
  G: side(2, 1),
  group: side(3, 1),
  D: side(20, 1),
  causal: fc.constantFrom(0, 1),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** Three blocks each way, the last one ragged, and the usual head sizes. */
const examples: Sizes[] = [0, 1].flatMap((causal) => [
  { lengths: [1, 137], G: 1, group: 1, D: 16, causal, share: 0.5 },
  ...[32, 64, 128].map((D) => ({ lengths: [67], G: 1, group: 1, D, causal, share: 0.5 })),
]);

const scaleOf = (D: number): number => 1.3 / Math.sqrt(D);
/** Scores of a few units, known to f32, go through e^x into weights of at most 1. */
const error = 5e-6;

function tolerance(power: number) {
  return ({ D }: { D: number }, magnitude: number): Tolerance => ({
    relative: 1e-5,
    absolute: error * Math.max(1, Math.sqrt(D) / 3) * Math.max(magnitude, magnitude ** power),
  });
}

function shapes({ lengths, G, group, D, share }: Sizes) {
  const [B, M, H] = [lengths.length, offsetsOf(lengths).at(-1) as number, G * group];
  const longest = Math.max(0, ...lengths);
  const split = Math.round(share * B);
  return { B, longest, queries: M * H * D, keys: M * G * D, sums: M * H, split };
}

type Forward = "out" | "lse" | "q" | "k" | "v" | "offsets" | "scratch";

testKernel({
  name: "attentionF32 agrees with its twin for any sequences and grouping, causal or not",
  sizes,
  runs: 80,
  examples,
  regimes: ["normal", "tiny"],
  buffers: (sizes, kernels): Record<Forward, BufferSpec> => {
    const { longest, queries, keys, sums } = shapes(sizes);
    return {
      out: { role: "out", length: queries },
      lse: { role: "out", length: sums },
      q: { role: "in", length: queries },
      k: { role: "in", length: keys },
      v: { role: "in", length: keys },
      offsets: offsetsSpec(sizes.lengths),
      scratch: { role: "scratch", length: kernels.attentionScratchBytes(longest, sizes.D) / 4 },
    };
  },
  call: (kernels, { out, lse, q, k, v, offsets, scratch }, sizes) => {
    const { G, group, D, causal } = sizes;
    const { B, longest, split } = shapes(sizes);
    const run = (from: number, count: number): void => {
      kernels.attentionF32(
        ...([out, lse, q, k, v, offsets + 4 * from, scratch] as const),
        ...([count, longest, G, group, G, D, scaleOf(D), causal] as const),
      );
    };
    run(split, B - split);
    run(0, split);
  },
  tolerance: tolerance(1),
});

for (const [what, hidden] of [
  ["a NaN", NaN],
  ["an infinite number", Infinity],
] as const) {
  testKernel({
    name: `attentionF32 keeps ${what} in one query row to that row`,
    sizes: fc.constant({ T: 19, D: 5 }),
    runs: 3,
    regimes: ["normal"],
    buffers: ({ T, D }, kernels): Record<Exclude<Forward, "v">, BufferSpec> => ({
      out: { role: "out", length: T * D },
      lse: { role: "out", length: T },
      q: { role: "in", length: T * D, fill: (rng, i) => (i === 4 * D + 1 ? hidden : rng.normal()) },
      k: { role: "in", length: T * D, fill: (rng) => 1 + rng.next() },
      offsets: offsetsSpec([T]),
      scratch: { role: "scratch", length: kernels.attentionScratchBytes(T, D) / 4 },
    }),
    call: (kernels, { out, lse, q, k, offsets, scratch }, { T, D }) => {
      kernels.attentionF32(
        ...([out, lse, q, k, k, offsets, scratch, 1, T, 1, 1, 1, D, scaleOf(D), 0] as const),
      );
    },
    tolerance: () => ({ relative: 1e-5, absolute: error }),
  });
}

testKernel({
  name: "attentionF32 gives a key whose score is -inf no weight",
  sizes: fc.constant({ T: 11, D: 1 }),
  runs: 1,
  regimes: ["normal"],
  buffers: ({ T, D }, kernels): Record<Forward, BufferSpec> => ({
    out: { role: "out", length: T * D },
    lse: { role: "out", length: T },
    q: { role: "in", length: T * D, fill: () => 1 },
    k: { role: "in", length: T * D, fill: (_, i) => (i % 3 === 1 ? -Infinity : i) },
    v: { role: "in", length: T * D },
    offsets: offsetsSpec([T]),
    scratch: { role: "scratch", length: kernels.attentionScratchBytes(T, D) / 4 },
  }),
  call: (kernels, { out, lse, q, k, v, offsets, scratch }, { T, D }) => {
    kernels.attentionF32(
      ...([out, lse, q, k, v, offsets, scratch, 1, T, 1, 1, 1, D, scaleOf(D), 0] as const),
    );
  },
  tolerance: () => ({ relative: 1e-5, absolute: error }),
});

testKernel({
  name: "attentionBackwardF32 agrees with its twin for any sequences and grouping, causal or not",
  sizes,
  runs: 80,
  examples,
  regimes: ["normal", "tiny"],
  buffers: (sizes, kernels): Record<Forward | "dQ" | "dK" | "dV" | "dOut", BufferSpec> => {
    const { longest, queries, keys, sums } = shapes(sizes);
    return {
      dQ: { role: "out", length: queries },
      dK: { role: "out", length: keys },
      dV: { role: "out", length: keys },
      dOut: { role: "in", length: queries },
      out: { role: "in", length: queries },
      // Above the logarithm of the sum: the weights of a row do not add up to one, and need not.
      lse: { role: "in", length: sums, fill: (rng) => 6 + rng.next() },
      q: { role: "in", length: queries },
      k: { role: "in", length: keys },
      v: { role: "in", length: keys },
      offsets: offsetsSpec(sizes.lengths),
      scratch: { role: "scratch", length: kernels.attentionScratchBytes(longest, sizes.D) / 4 },
    };
  },
  call: (kernels, at, sizes) => {
    const { G, group, D, causal } = sizes;
    const { B, longest } = shapes(sizes);
    const { dQ, dK, dV, dOut, out, lse, q, k, v, offsets, scratch } = at;
    // One key head after the other: what they compute lies side by side.
    for (let g = G - 1; g >= 0; g--) {
      const [own, shared] = [4 * g * group * D, 4 * g * D];
      kernels.attentionBackwardF32(
        ...([dQ + own, dK + shared, dV + shared, dOut + own, out + own, lse + 4 * g * group] as const),
        ...([q + own, k + shared, v + shared, offsets, scratch] as const),
        ...([B, longest, 1, group, G, D, scaleOf(D), causal] as const),
      );
    }
  },
  tolerance: tolerance(3),
});

testKernel({
  name: "attentionDecodeF32 gives one query the same as its twin",
  sizes: fc.record({ S: side(40, 1), G: side(2, 1), group: side(3, 1), D: side(20, 1) }),
  regimes: ["normal", "tiny"],
  buffers: ({
    S,
    G,
    group,
    D,
  }): Record<"out" | "q" | "keys" | "values" | "scratch", BufferSpec> => ({
    out: { role: "out", length: G * group * D },
    q: { role: "in", length: G * group * D },
    keys: { role: "in", length: S * G * D },
    values: { role: "in", length: S * G * D },
    scratch: { role: "scratch", length: S },
  }),
  call: (kernels, at, { S, G, group, D }) => {
    const { out, q, keys, values, scratch } = at;
    kernels.attentionDecodeF32(out, q, keys, values, scratch, S, G * group, G, D, scaleOf(D));
  },
  tolerance: tolerance(1),
});

test("a sequence gets the same bits beside others as alone", () => {
  const [H, D] = [2, 10];
  const width = H * D;
  const [before, own, behind] = [3, 71, 20];
  for (const { kernels, memory, variant } of runnableVariants()) {
    for (const causal of [0, 1]) {
      const outputs = [[own], [before, own], [before, own, behind]].map((lengths) => {
        let top = Math.ceil(kernels.heapBase() / 64) * 64;
        const take = (bytes: number): number => {
          const address = top;
          top += Math.ceil(bytes / 64) * 64;
          return address;
        };
        const offsets = offsetsOf(lengths);
        const M = offsets.at(-1) as number;
        const rows = (): number => take(4 * M * width);
        const [q, out, dQ, dK, dV, lse] = [rows(), rows(), rows(), rows(), rows(), take(4 * M * H)];
        const [scratch, starts] = [take(kernels.attentionScratchBytes(own, D)), take(16)];
        if (top > memory.buffer.byteLength) memory.grow(16);
        const first = lengths.length === 1 ? 0 : before;
        const rng = Rng.fromSeed("packed");
        const values = Float32Array.from({ length: own * width }, () => rng.normal());
        // Whatever stands beside it must not reach it.
        new Float32Array(memory.buffer, q, M * width).fill(NaN).set(values, first * width);
        new Int32Array(memory.buffer, starts, offsets.length).set(offsets);
        const sizes = [lengths.length, own, H, 1, H, D, scaleOf(D), causal] as const;
        kernels.attentionF32(out, lse, q, q, q, starts, scratch, ...sizes);
        kernels.attentionBackwardF32(
          ...([dQ, dK, dV, q, out, lse, q, q, q, starts, scratch, ...sizes] as const),
        );
        return [out, dQ, dK, dV].map((at) =>
          new Float32Array(memory.buffer, at + 4 * first * width, own * width).slice(),
        );
      });
      assert.deepEqual(outputs[1], outputs[0], variant);
      assert.deepEqual(outputs[2], outputs[0], variant);
    }
  }
});
