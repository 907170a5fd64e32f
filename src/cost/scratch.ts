/** Scratch bytes of the kernels: the same formulas as in assembly/, for those who have no engine. */

/** Blocking of assembly/matmul.ts, blocked-product.ts, wide-tile.ts and row-product.ts. */
const DEPTH = 256;
const ROWS = 60;
const COLUMNS = 256;
const TILE_COLUMNS = 16;
const TILE_BYTES = 384;
const SINGLE_ROW_COLUMNS = 2048;

/** Of a product with M rows, N columns and K terms per element. */
export function matmulScratchBytes(M: number, N: number, K: number): number {
  const depth = Math.min(K, DEPTH);
  const panels = Math.ceil(Math.min(N, COLUMNS) / TILE_COLUMNS) * TILE_COLUMNS * depth;
  const strips = Math.min(M, ROWS) * depth;
  return Math.max(4 * Math.min(N, SINGLE_ROW_COLUMNS), TILE_BYTES + 4 * (panels + strips));
}

/** Of attention over T tokens with heads of size D. */
export function attentionScratchBytes(T: number, D: number): number {
  const scores = Math.ceil((4 * T * T) / 64) * 64;
  return scores + Math.max(matmulScratchBytes(T, T, D), matmulScratchBytes(T, D, T));
}
