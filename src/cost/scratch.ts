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

/** Blocking of assembly/attention.ts, attention-tile.ts and attention-block.ts. */
const PANEL = 8;
const STRIP = 4;
const BLOCK = 64;
const SPILL_BYTES = 128;

/** Of attention over sequences of up to T tokens with heads of size D. */
export function attentionScratchBytes(T: number, D: number): number {
  const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
  const [keys, columns] = [roundUp(T, STRIP), roundUp(D, PANEL)];
  const forward = 64 + SPILL_BYTES + 4 * (PANEL * (D + keys) + keys * D + T * columns);
  const block = Math.min(roundUp(T, PANEL), BLOCK);
  const ofBlock = 64 + SPILL_BYTES + 8 * BLOCK + 8 * block * (block + D + columns);
  return Math.max(forward, ofBlock + 4 * keys * (2 * D + columns));
}
