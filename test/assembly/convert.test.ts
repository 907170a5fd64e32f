/** Half-precision conversions bit for bit: every 16-bit pattern, and every kind of rounding. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

const exact = () => ({ relative: 0 });
const patterns = 65536;
const bits = new DataView(new ArrayBuffer(4));

function floatOf(pattern: number): number {
  bits.setUint32(0, pattern >>> 0);
  return bits.getFloat32(0);
}

for (const name of ["f16ToF32", "bf16ToF32"] as const) {
  testKernel({
    name: `${name} is exact for all 65536 patterns`,
    sizes: fc.constant(patterns),
    runs: 1,
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", length: n },
      inp: { role: "in", type: "u16", length: n, fill: (_, i) => i },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: exact,
  });
  testKernel({
    name: `${name} handles any length`,
    sizes: side(50),
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", length: n },
      inp: { role: "in", type: "u16", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: exact,
  });
}

for (const name of ["f32ToF16", "f32ToBf16"] as const) {
  testKernel({
    name: `${name} rounds to nearest even for any float`,
    sizes: fc.constant(20_000),
    runs: 2,
    regimes: ["normal", "special"],
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", type: "u16", length: n },
      // Any pattern, and those close to a tie: a few ones in the upper half, the rest near 0x8000.
      inp: {
        role: "in",
        length: n,
        fill: (rng, i) => {
          const pattern = rng.nextUint32();
          if (i % 4 === 0) return floatOf(pattern);
          if (i % 4 === 1) return floatOf((pattern & 0xffff0000) | (0x7fff + rng.int(3)));
          const exponent = (100 + rng.int(46)) << 23;
          if (i % 4 === 2) return floatOf((pattern & 0x807fe000) | exponent | (0xfff + rng.int(3)));
          return rng.pick([-0, 0, 65504, 65519.996, 65520, 2 ** -25, 2 ** -24, 6.1e-5, -Infinity]);
        },
      },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: exact,
  });
  testKernel({
    name: `${name} handles any length`,
    sizes: side(50),
    buffers: (n): Record<"out" | "inp", BufferSpec> => ({
      out: { role: "out", type: "u16", length: n },
      inp: { role: "in", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.inp, n),
    tolerance: exact,
  });
}
