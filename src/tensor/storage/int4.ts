/** Weights in whole numbers of -8 to 7, one scale for 32 neighbours of a row. */
import { int4GroupColumns, int4Groups, scalesOffset } from "../../base/base-dtype.ts";
import { scalesAt } from "../tensor.ts";
import type { Storage } from "./storage.ts";

const valueBytesPerRow = (cols: number): number => (int4Groups(cols) * int4GroupColumns) / 2;
const scaleBytesPerRow = (cols: number): number => 2 * int4Groups(cols);

export const int4: Storage = {
  dtype: "int4",
  valueBytesPerRow,
  scaleBytesPerRow,

  encodeRows({ kernels }, weight, first, count, values) {
    const { ptr, cols } = weight;
    const scales = scalesAt(weight) + first * scaleBytesPerRow(cols);
    kernels.quantiseRowsInt4(ptr + first * valueBytesPerRow(cols), scales, values, count, cols);
  },

  decodeRows({ kernels }, weight, first, count, out) {
    const { ptr, cols } = weight;
    const scales = scalesAt(weight) + first * scaleBytesPerRow(cols);
    kernels.dequantiseRowsInt4(out, ptr + first * valueBytesPerRow(cols), scales, count, cols);
  },

  multiply(engine, { kind, out, a, weight, alpha, accumulate }) {
    const { kernels } = engine;
    const [M, N, K] = [a.rows, out.cols, a.cols];
    const scratch = engine.scratch(kernels.widenedScratchBytes(M, N, K));
    const run = kind === "Nt" ? kernels.matmulNtInt4 : kernels.matmulNnInt4;
    const scales = scalesAt(weight);
    run(out.ptr, a.ptr, weight.ptr, scales, scratch, M, N, K, K, N, alpha, accumulate ? 1 : 0);
  },

  // The columns that are left form new groups, each with a scale of its own.
  keepCols(engine, weight, cols) {
    const { ptr, rows, cols: width } = weight;
    const { kernels, arena } = engine;
    const scales = scalesAt(weight);
    const [row, kept] = [engine.scratch(4 * width), engine.scratch(4 * cols.length)];
    const keptScales = engine.scratch(rows * scaleBytesPerRow(cols.length));
    for (let r = 0; r < rows; r++) {
      const [from, fromScales] = [
        ptr + r * valueBytesPerRow(width),
        scales + r * scaleBytesPerRow(width),
      ];
      kernels.dequantiseRowsInt4(row, from, fromScales, 1, width);
      const values = new Float32Array(arena.memory.buffer, row, width);
      const left = new Float32Array(arena.memory.buffer, kept, cols.length);
      cols.forEach((col, k) => (left[k] = values[col] as number));
      const to = ptr + r * valueBytesPerRow(cols.length);
      const toScales = keptScales + r * scaleBytesPerRow(cols.length);
      kernels.quantiseRowsInt4(to, toScales, kept, 1, cols.length);
    }
    new Uint8Array(arena.memory.buffer).copyWithin(
      ptr + scalesOffset("int4", rows, cols.length),
      keptScales,
      keptScales + rows * scaleBytesPerRow(cols.length),
    );
  },
};
