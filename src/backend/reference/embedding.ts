/** Table rows by number, and their gradient. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, integers } from "./views.ts";

/** Twins of assembly/embedding.ts over `memory`, with the same arguments. */
export function createEmbeddingTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"gatherRowsF32" | "scatterAddRowsF32"> {
  const row = (base: number, r: number, cols: number): Float32Array =>
    floats(memory, base + 4 * r * cols, cols);
  return {
    gatherRowsF32: (out, table, ids, rows, cols) => {
      integers(memory, ids, rows).forEach((id, r) => {
        row(out, r, cols).set(row(table, id, cols));
      });
    },
    scatterAddRowsF32: (dTable, dOut, ids, rows, cols) => {
      integers(memory, ids, rows).forEach((id, r) => {
        const target = row(dTable, id, cols);
        row(dOut, r, cols).forEach((d, c) => (target[c] = at(target, c) + d));
      });
    },
  };
}
