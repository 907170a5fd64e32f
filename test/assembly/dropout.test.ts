/** Dropout: the mask bit for bit, its rate, and how little neighbouring seeds have in common. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { runnableVariants, side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

testKernel({
  name: "dropoutF32 drops exactly what its twin drops",
  sizes: fc.record({
    n: side(200),
    seedLo: fc.integer(),
    seedHi: fc.integer(),
    threshold: fc.oneof(fc.integer(), fc.constantFrom(0, -1, 0x7fffffff)),
    from: fc.nat(),
  }),
  buffers: ({ n }): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "out", length: n },
    inp: { role: "in", length: n },
  }),
  call: (kernels, at, { n, seedLo, seedHi, threshold, from }) =>
    kernels.dropoutF32(at.out, at.inp, n, seedLo, seedHi, threshold, 1.25, from),
  tolerance: () => ({ relative: 0 }),
});

const count = 100_000;

function keptBy(seedLo: number, seedHi: number, threshold: number): Float32Array {
  const { kernels, memory } = runnableVariants()[0] as ReturnType<typeof runnableVariants>[0];
  const start = Math.ceil(kernels.heapBase() / 64) * 64;
  const missing = start + 4 * count - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  kernels.fillF32(start, 1, count);
  kernels.dropoutF32(start, start, count, seedLo, seedHi, threshold, 1, 0);
  return new Float32Array(memory.buffer, start, count).slice();
}

test("dropoutF32 drops the same in parts as in one call", () => {
  const { kernels, memory } = runnableVariants()[0] as ReturnType<typeof runnableVariants>[0];
  const whole = keptBy(3, 4, 1 << 30);
  const start = Math.ceil(kernels.heapBase() / 64) * 64;
  kernels.fillF32(start, 1, count);
  for (let from = 0; from < count; from += 777) {
    const at = start + 4 * from;
    kernels.dropoutF32(at, at, Math.min(777, count - from), 3, 4, 1 << 30, 1, from);
  }
  assert.deepEqual(new Float32Array(memory.buffer, start, count), whole);
});

/** Six standard deviations of a mean over `count` independent draws of probability p. */
function band(p: number): number {
  return 6 * Math.sqrt((p * (1 - p)) / count);
}

test("dropoutF32 drops the asked-for share of elements", () => {
  for (const rate of [0.05, 0.1, 0.5, 0.9]) {
    const kept = keptBy(1, 2, Math.round(rate * 2 ** 32) | 0).reduce((sum, x) => sum + x, 0);
    assert.ok(Math.abs(1 - kept / count - rate) < band(rate), `rate ${rate}: kept ${kept}`);
  }
});

test("dropoutF32 gives unrelated masks for neighbouring seeds and neighbouring elements", () => {
  const half = 0x80000000 | 0;
  const base = keptBy(7, 9, half);
  const others = { "low seed + 1": keptBy(8, 9, half), "high seed + 1": keptBy(7, 10, half) };
  for (const [name, other] of Object.entries(others)) {
    const equal = base.reduce((sum, x, i) => sum + (x === other[i] ? 1 : 0), 0) / count;
    assert.ok(Math.abs(equal - 0.5) < band(0.5), `${name}: ${equal} of the elements agree`);
  }
  for (const lag of [1, 2, 3, 4, 8, 64, 768]) {
    const equal = base.reduce((sum, x, i) => sum + (x === base[(i + lag) % count] ? 1 : 0), 0);
    assert.ok(Math.abs(equal / count - 0.5) < band(0.5), `lag ${lag}: ${equal / count} agree`);
  }
});
