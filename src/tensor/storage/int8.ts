/** Weights in whole numbers of -127 to 127, one scale for each output channel: each row. */
import { scalesOffset } from "../../base/base-dtype.ts";
import { scalesAt } from "../tensor.ts";
import type { Storage } from "./storage.ts";

export const int8: Storage = {
  dtype: "int8",
  valueBytesPerRow: (cols) => cols,
  scaleBytesPerRow: () => 4,

  encodeRows({ kernels }, weight, first, count, values) {
    const { ptr, cols } = weight;
    const scales = scalesAt(weight) + 4 * first;
    kernels.quantiseRowsInt8(ptr + first * cols, scales, values, count, cols);
  },

  decodeRows({ kernels }, weight, first, count, out) {
    const { ptr, cols } = weight;
    const scales = scalesAt(weight) + 4 * first;
    kernels.dequantiseRowsInt8(out, ptr + first * cols, scales, count, cols);
  },

  multiply(engine, { kind, out, a, weight, alpha, accumulate }) {
    const { kernels } = engine;
    const [M, N, K] = [a.rows, out.cols, a.cols];
    const scratch = engine.scratch(kernels.int8ScratchBytes(M, K));
    const run = kind === "Nt" ? kernels.matmulNtInt8 : kernels.matmulNnInt8;
    const scales = scalesAt(weight);
    run(out.ptr, a.ptr, weight.ptr, scales, scratch, M, N, K, K, N, alpha, accumulate ? 1 : 0);
  },

  // A row's scale stays: what is left of it is not quantised again.
  keepCols(engine, weight, cols) {
    const { ptr, rows, cols: width } = weight;
    const bytes = new Uint8Array(engine.arena.memory.buffer);
    let at = ptr;
    for (let row = 0; row < rows; row++) {
      for (const col of cols) bytes[at++] = bytes[ptr + row * width + col] as number;
    }
    const scales = scalesAt(weight);
    bytes.copyWithin(ptr + scalesOffset("int8", rows, cols.length), scales, scales + 4 * rows);
  },
};
