/** Attention against its twin: padding, causality, grouped heads, and the decoding of one token. */
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
  readonly G: number;
  readonly group: number;
  readonly D: number;
  readonly causal: number;
  readonly padded: boolean;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: side(3, 1),
  T: side(24),
  G: side(2, 1),
  group: side(3, 1),
  D: side(20, 1),
  causal: fc.constantFrom(0, 1),
  padded: fc.boolean(),
});

const scale = 0.3;
/** Scores of a few units, known to f32, go through e^x into weights of at most 1. */
const error = 5e-6;

function tolerance(power: number) {
  return ({ D }: Sizes, magnitude: number): Tolerance => ({
    relative: 1e-5,
    absolute: error * Math.sqrt(D) * Math.max(magnitude, magnitude ** power),
  });
}

function shapes({ B, T, G, group, D }: Sizes) {
  const H = G * group;
  return { H, queries: B * T * H * D, keys: B * T * G * D, probs: B * H * T * T };
}

function lengthsSpec({ B, T }: Sizes): BufferSpec {
  return { role: "in", type: "i32", length: B, fill: (rng) => rng.int(T + 2) };
}

testKernel({
  name: "attentionF32 agrees with its twin, padded or causal or both",
  sizes,
  runs: 80,
  // Longer than a block of the causal path, with a ragged end.
  examples: [{ B: 1, T: 77, G: 1, group: 2, D: 12, causal: 1, padded: false }],
  regimes: ["normal", "tiny"],
  buffers: (
    sizes,
    kernels,
  ): Record<"out" | "probs" | "q" | "k" | "v" | "lengths" | "scratch", BufferSpec> => {
    const { queries, keys, probs } = shapes(sizes);
    return {
      out: { role: "out", length: queries },
      probs: { role: "out", length: probs },
      q: { role: "in", length: queries },
      k: { role: "in", length: keys },
      v: { role: "in", length: keys },
      lengths: lengthsSpec(sizes),
      scratch: { role: "scratch", length: kernels.attentionScratchBytes(sizes.T, sizes.D) / 4 },
    };
  },
  call: (kernels, at, sizes) => {
    const { B, T, G, D, causal, padded } = sizes;
    const { H } = shapes(sizes);
    const lengths = padded ? at.lengths : 0;
    const { out, probs, q, k, v, scratch } = at;
    kernels.attentionF32(out, probs, q, k, v, lengths, scratch, B, T, H, G, D, scale, causal);
  },
  tolerance: tolerance(1),
});

testKernel({
  name: "attentionF32 keeps a NaN in one query row to that row",
  sizes: fc.constant({ T: 9, D: 5 }),
  runs: 3,
  regimes: ["normal"],
  buffers: ({ T, D }, kernels): Record<"out" | "probs" | "q" | "k" | "scratch", BufferSpec> => ({
    out: { role: "out", length: T * D },
    probs: { role: "out", length: T * T },
    q: { role: "in", length: T * D, fill: (rng, i) => (i === 4 * D + 1 ? NaN : rng.normal()) },
    k: { role: "in", length: T * D },
    scratch: { role: "scratch", length: kernels.attentionScratchBytes(T, D) / 4 },
  }),
  call: (kernels, at, { T, D }) => {
    const { out, probs, q, k, scratch } = at;
    kernels.attentionF32(out, probs, q, k, k, 0, scratch, 1, T, 1, 1, D, scale, 0);
  },
  tolerance: () => ({ relative: 1e-5, absolute: error }),
});

testKernel({
  name: "attentionBackwardF32 agrees with its twin for any padding and grouping",
  sizes,
  runs: 80,
  regimes: ["normal", "tiny"],
  buffers: (
    sizes,
    kernels,
  ): Record<
    "dQ" | "dK" | "dV" | "dOut" | "probs" | "q" | "k" | "v" | "lengths" | "scratch",
    BufferSpec
  > => {
    const { queries, keys, probs } = shapes(sizes);
    const { T, D, causal } = sizes;
    const behind = (i: number): boolean => causal !== 0 && i % T > Math.floor(i / T) % T;
    return {
      dQ: { role: "out", length: queries },
      dK: { role: "out", length: keys },
      dV: { role: "out", length: keys },
      dOut: { role: "in", length: queries },
      probs: {
        role: "in",
        length: probs,
        fill: (rng, i) => (behind(i) ? 0 : (2 * rng.next()) / T),
      },
      q: { role: "in", length: queries },
      k: { role: "in", length: keys },
      v: { role: "in", length: keys },
      lengths: lengthsSpec(sizes),
      scratch: { role: "scratch", length: kernels.attentionScratchBytes(T, D) / 4 },
    };
  },
  call: (kernels, at, sizes) => {
    const { B, T, G, D, padded } = sizes;
    const { H } = shapes(sizes);
    const { dQ, dK, dV, dOut, probs, q, k, v, scratch } = at;
    const lengths = padded ? at.lengths : 0;
    kernels.attentionBackwardF32(
      ...([dQ, dK, dV, dOut, probs, q, k, v, lengths, scratch] as const),
      ...([B, T, H, G, D, scale] as const),
    );
  },
  tolerance: tolerance(3),
});

testKernel({
  name: "attentionDecodeF32 gives one query the same as its twin",
  sizes,
  regimes: ["normal", "tiny"],
  buffers: ({
    T,
    G,
    group,
    D,
  }): Record<"out" | "q" | "keys" | "values" | "scratch", BufferSpec> => ({
    out: { role: "out", length: G * group * D },
    q: { role: "in", length: G * group * D },
    keys: { role: "in", length: (T + 1) * G * D },
    values: { role: "in", length: (T + 1) * G * D },
    scratch: { role: "scratch", length: T + 1 },
  }),
  call: (kernels, at, { T, G, group, D }) => {
    const { out, q, keys, values, scratch } = at;
    kernels.attentionDecodeF32(out, q, keys, values, scratch, T + 1, G * group, G, D, scale);
  },
  tolerance: tolerance(1),
});

test("padding does not change a bit of what the tokens before it give", () => {
  const [valid, H, D] = [13, 2, 10];
  const width = H * D;
  for (const { kernels, memory, variant } of runnableVariants()) {
    const outputs = [valid, valid + 1, valid + 19].map((T) => {
      let top = Math.ceil(kernels.heapBase() / 64) * 64;
      const take = (bytes: number): number => {
        const address = top;
        top += Math.ceil(bytes / 64) * 64;
        return address;
      };
      const [q, out, gradient] = [take(4 * T * width), take(4 * T * width), take(4 * T * width)];
      const [dK, dV, probs] = [take(4 * T * width), take(4 * T * width), take(4 * H * T * T)];
      const [scratch, lengths] = [take(kernels.attentionScratchBytes(T, D)), take(4)];
      if (top > memory.buffer.byteLength) memory.grow(16);
      const rng = Rng.fromSeed("padding");
      const values = Float32Array.from({ length: valid * width }, () => rng.normal());
      new Float32Array(memory.buffer, q, T * width).fill(NaN).set(values);
      new Int32Array(memory.buffer, lengths, 1).fill(valid);
      kernels.attentionF32(out, probs, q, q, q, lengths, scratch, 1, T, H, H, D, scale, 0);
      kernels.attentionBackwardF32(
        ...([gradient, dK, dV, q, probs, q, q, q, lengths, scratch, 1, T, H, H, D, scale] as const),
      );
      return [out, gradient, dK, dV].map((at) => {
        const rows = new Float32Array(memory.buffer, at, T * width);
        assert.ok(rows.subarray(valid * width).every((x) => x === 0));
        return rows.slice(0, valid * width);
      });
    });
    assert.deepEqual(outputs[1], outputs[0], variant);
    assert.deepEqual(outputs[2], outputs[0], variant);
  }
});
