/** The matrix products that matter here, once: what is timed, and what the tests check besides. */

export interface MatmulShape {
  /** Where the product occurs. */
  readonly name: string;
  /** Nn: a b, Nt: a b^T, Tn: a^T b, as in the kernels' names. */
  readonly form: "Nn" | "Nt" | "Tn";
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** A step of a small BERT: 16 x 64 tokens, width 192, inner width 768, 8192 words, rank 8. */
export const matmulShapes: readonly MatmulShape[] = [
  { name: "square 192", form: "Nn", M: 192, N: 192, K: 192 },
  { name: "square 480", form: "Nn", M: 480, N: 480, K: 480 },
  { name: "square 960", form: "Nn", M: 960, N: 960, K: 960 },
  { name: "projection", form: "Nt", M: 1024, N: 192, K: 192 },
  { name: "projection, dInput", form: "Nn", M: 1024, N: 192, K: 192 },
  { name: "projection, dWeight", form: "Tn", M: 192, N: 192, K: 1024 },
  { name: "up", form: "Nt", M: 1024, N: 768, K: 192 },
  { name: "up, dInput", form: "Nn", M: 1024, N: 192, K: 768 },
  { name: "up, dWeight", form: "Tn", M: 768, N: 192, K: 1024 },
  { name: "down", form: "Nt", M: 1024, N: 192, K: 768 },
  { name: "down, dInput", form: "Nn", M: 1024, N: 768, K: 192 },
  { name: "down, dWeight", form: "Tn", M: 192, N: 768, K: 1024 },
  { name: "wide up", form: "Nt", M: 1024, N: 2048, K: 512 },
  { name: "vocabulary", form: "Nt", M: 300, N: 8192, K: 192 },
  { name: "vocabulary, dInput", form: "Nn", M: 300, N: 192, K: 8192 },
  { name: "adapter A", form: "Nt", M: 1024, N: 8, K: 192 },
  { name: "adapter B", form: "Nt", M: 1024, N: 192, K: 8 },
  { name: "adapter A, dWeight", form: "Tn", M: 8, N: 192, K: 1024 },
  { name: "adapter B, dWeight", form: "Tn", M: 192, N: 8, K: 1024 },
  { name: "attention scores", form: "Nt", M: 64, N: 64, K: 32 },
  { name: "attention values", form: "Nn", M: 64, N: 32, K: 64 },
  { name: "attention, dKeys", form: "Tn", M: 64, N: 32, K: 64 },
  { name: "one token", form: "Nt", M: 1, N: 768, K: 768 },
  { name: "one token", form: "Nn", M: 1, N: 768, K: 768 },
  { name: "four rows", form: "Nt", M: 4, N: 768, K: 768 },
  { name: "one token, large", form: "Nt", M: 1, N: 2048, K: 2048 },
];

/** Multiply-adds counted twice, in units of 10^9. */
export function gflopOf({ M, N, K }: MatmulShape): number {
  return (2 * M * N * K) / 1e9;
}
