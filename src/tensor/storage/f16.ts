/** Weights in binary16: what most checkpoints hold, rounded once where they hold more. */
import type { Storage } from "./storage.ts";

export const f16: Storage = {
  dtype: "f16",
  valueBytesPerRow: (cols) => 2 * cols,
  scaleBytesPerRow: () => 0,

  encodeRows({ kernels }, { ptr, cols }, first, count, values) {
    kernels.f32ToF16(ptr + 2 * first * cols, values, count * cols);
  },

  decodeRows({ kernels }, { ptr, cols }, first, count, out) {
    kernels.f16ToF32(out, ptr + 2 * first * cols, count * cols);
  },

  multiply(engine, { kind, out, a, weight, alpha, accumulate }) {
    const { kernels } = engine;
    const [M, N, K] = [a.rows, out.cols, a.cols];
    const scratch = engine.scratch(kernels.widenedScratchBytes(M, N, K));
    const run = kind === "Nt" ? kernels.matmulNtF16 : kernels.matmulNnF16;
    run(out.ptr, a.ptr, weight.ptr, scratch, M, N, K, K, N, alpha, accumulate ? 1 : 0);
  },

  keepCols(engine, weight, cols) {
    const { rows, cols: width } = weight;
    const values = new Uint16Array(engine.arena.memory.buffer, weight.ptr, rows * width);
    let at = 0;
    for (let row = 0; row < rows; row++) {
      for (const col of cols) values[at++] = values[row * width + col] as number;
    }
  },
};
