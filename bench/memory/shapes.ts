/** The models whose training has to fit small boards. */

export interface MemoryShape {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly vocab: number;
  readonly positions: number;
  /** Resident memory of the whole process that is aimed at. */
  readonly aimBytes: number;
}

const MB = 1e6;

export const memoryShapes: Readonly<Record<string, MemoryShape>> = {
  tiny: {
    ...{ name: "BERT-tiny, 2 x 128", layers: 2, width: 128, heads: 2, inner: 512 },
    ...{ vocab: 30522, positions: 512, aimBytes: 80 * MB },
  },
  small: {
    ...{ name: "4 x 512", layers: 4, width: 512, heads: 8, inner: 2048 },
    ...{ vocab: 30522, positions: 512, aimBytes: 110 * MB },
  },
  base: {
    ...{ name: "RoBERTa-base, 12 x 768", layers: 12, width: 768, heads: 12, inner: 3072 },
    ...{ vocab: 50265, positions: 514, aimBytes: 300 * MB },
  },
};
