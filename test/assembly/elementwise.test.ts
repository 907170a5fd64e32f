/** Elementwise arithmetic against its twins, in place and apart. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

const exact = () => ({ relative: 0 });
/** A fused multiply-add rounds once, the strict one twice; the sum may cancel. */
const multiplyAddError = 2e-7;

for (const name of ["addF32", "mulF32"] as const) {
  testKernel({
    name: `${name} is exact for any length`,
    sizes: side(300),
    buffers: (n): Record<"out" | "a" | "b", BufferSpec> => ({
      out: { role: "out", length: n },
      a: { role: "in", length: n },
      b: { role: "in", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.out, at.a, at.b, n),
    tolerance: exact,
  });
  testKernel({
    name: `${name} works in place`,
    sizes: side(50),
    buffers: (n): Record<"a" | "b", BufferSpec> => ({
      a: { role: "inout", length: n },
      b: { role: "in", length: n },
    }),
    call: (kernels, at, n) => kernels[name](at.a, at.a, at.b, n),
    tolerance: exact,
  });
}

testKernel({
  name: "fillF32 writes n values and nothing behind them",
  sizes: side(100),
  buffers: (n): Record<"out", BufferSpec> => ({ out: { role: "out", length: n } }),
  call: (kernels, at, n) => kernels.fillF32(at.out, -1.25, n),
  tolerance: exact,
});

testKernel({
  name: "copyF32 copies every bit",
  sizes: side(100),
  buffers: (n): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "out", length: n },
    inp: { role: "in", length: n },
  }),
  call: (kernels, at, n) => kernels.copyF32(at.out, at.inp, n),
  tolerance: exact,
});

testKernel({
  name: "scaleF32 is exact for any length",
  sizes: side(100),
  buffers: (n): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "out", length: n },
    inp: { role: "in", length: n },
  }),
  call: (kernels, at, n) => kernels.scaleF32(at.out, at.inp, 0.3, n),
  tolerance: exact,
});

testKernel({
  name: "axpyF32 adds a multiple to what is there",
  sizes: side(100),
  buffers: (n): Record<"out" | "inp", BufferSpec> => ({
    out: { role: "inout", length: n },
    inp: { role: "in", length: n },
  }),
  call: (kernels, at, n) => kernels.axpyF32(at.out, at.inp, 0.3, n),
  tolerance: (_, magnitude) => ({ relative: 1e-7, absolute: multiplyAddError * magnitude }),
});

testKernel({
  name: "broadcastRowF32 repeats one row",
  sizes: fc.tuple(side(), side()),
  buffers: ([rows, cols]): Record<"out" | "row", BufferSpec> => ({
    out: { role: "out", length: rows * cols },
    row: { role: "in", length: cols },
  }),
  call: (kernels, at, [rows, cols]) => kernels.broadcastRowF32(at.out, at.row, rows, cols),
  tolerance: exact,
});
