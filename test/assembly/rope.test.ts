/** Rotary positions against their twin, and back again. */
import fc from "fast-check";
import { side, testKernel, type BufferSpec } from "../support/kernel-suite.ts";

const positionsInTable = 13;
/** Two products that may cancel, each rounded to f32. */
const rotationError = 3e-7;

for (const direction of [1, -1]) {
  testKernel({
    name: `ropeF32 turns ${direction > 0 ? "forth" : "back"} as its twin does, in place`,
    sizes: fc.record({ rows: side(10), heads: side(4), half: side(20) }),
    regimes: ["normal", "large", "tiny"],
    buffers: ({ rows, heads, half }): Record<"x" | "cos" | "sin" | "positions", BufferSpec> => ({
      x: { role: "inout", length: rows * heads * 2 * half },
      cos: {
        role: "in",
        length: positionsInTable * half,
        fill: (_, i) => Math.cos(i),
      },
      sin: {
        role: "in",
        length: positionsInTable * half,
        fill: (_, i) => Math.sin(i),
      },
      positions: {
        role: "in",
        type: "i32",
        length: rows,
        fill: (rng) => rng.int(positionsInTable),
      },
    }),
    call: (kernels, at, { rows, heads, half }) => {
      const { x, cos, sin, positions } = at;
      kernels.ropeF32(x, x, cos, sin, positions, rows, heads, 2 * half, direction);
    },
    tolerance: (_, magnitude) => ({ absolute: 4 * rotationError * magnitude }),
  });
}
