/** The models whose steps and passes are timed: BERT's published small sizes and two of its full size. */

export interface StepShape {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly vocab: number;
  readonly rank: number;
  readonly batch: number;
  readonly tokens: number;
  /** Body sparsity, 0 where it is missing. */
  readonly sparsity?: number;
}

const common = { vocab: 30522, rank: 8, batch: 16, tokens: 64 };

export const stepShapes: readonly StepShape[] = [
  { name: "bert-tiny 2x128", layers: 2, width: 128, heads: 2, inner: 512, ...common },
  { name: "bert-mini 4x256", layers: 4, width: 256, heads: 4, inner: 1024, ...common },
  { name: "bert-small 4x512", layers: 4, width: 512, heads: 8, inner: 2048, ...common },
  { ...common, name: "bert-base 12x768", layers: 12, width: 768, heads: 12, inner: 3072, batch: 8 },
];
