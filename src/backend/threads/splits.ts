/**
 * Which kernels are shared out among threads, and how: one entry per kernel, none for one that stays on
 * the calling thread. Only what no result depends on may be divided: rows, columns, elements and
 * sequences that are computed independently of each other. A sum over rows is never cut in two.
 *
 * Times were measured on an x86-64 server core with data in its caches. They decide only whether a call is
 * worth sharing: a slower core is asked less often than it could be.
 */
import type { Kernels } from "../kernels.ts";
import { productSplits, storageSplits } from "./product-splits.ts";
import { by, costs, moveBytes, type Split } from "./split.ts";

/** Elements that fill a line of the cache, so that two threads do not write to the same one. */
const LINE = 16;

/** Elementwise kernels: the number of elements, then the pointers; `ns` per element. */
const elements = (count: number, pointers: readonly number[], ns: number): Split => ({
  count,
  grain: LINE,
  moves: pointers.map((pointer) => by(pointer)),
  unitNs: costs(ns),
});

/** Kernels over the rows of matrices of one width: both arguments, then pointers to rows and to one number per row. */
const rows = (
  [count, width]: readonly [number, number],
  matrices: readonly number[],
  columns: readonly number[],
  ns: number,
): Split => ({
  count,
  grain: 1,
  moves: [
    ...matrices.map((pointer) => by(pointer, width)),
    ...columns.map((pointer) => by(pointer)),
  ],
  unitNs: costs(ns, width),
});

const attentionScratch = (
  pointer: number,
  T: number,
  D: number,
): NonNullable<Split["scratch"]> => ({
  pointer,
  bytes: (kernels, args) => kernels.attentionScratchBytes(args[T] as number, args[D] as number),
});

const table: { readonly [Name in keyof Kernels]?: Split | readonly Split[] } = {
  ...productSplits,
  ...storageSplits,

  // out lse q k v offsets scratch B T heads group G D: sequences, or key heads with their query heads.
  attentionF32: [
    {
      count: 7,
      grain: 1,
      moves: [by(5)],
      unitNs: costs(0.1, 8, 8, 9, 10, 12),
      scratch: attentionScratch(6, 8, 12),
    },
    {
      count: 9,
      grain: 1,
      moves: [by(0, 10, 12), by(1, 10), by(2, 10, 12), by(3, 12), by(4, 12)],
      unitNs: costs(0.1, 7, 8, 8, 10, 12),
      scratch: attentionScratch(6, 8, 12),
    },
  ],
  // dQ dK dV dOut out lse q k v offsets scratch B T heads group G D
  attentionBackwardF32: [
    {
      count: 11,
      grain: 1,
      moves: [by(9)],
      unitNs: costs(0.25, 12, 12, 13, 14, 16),
      scratch: attentionScratch(10, 12, 16),
    },
    {
      count: 13,
      grain: 1,
      moves: [
        ...[by(0, 14, 16), by(1, 16), by(2, 16), by(3, 14, 16), by(4, 14, 16), by(5, 14)],
        ...[by(6, 14, 16), by(7, 16), by(8, 16)],
      ],
      unitNs: costs(0.25, 11, 12, 12, 14, 16),
      scratch: attentionScratch(10, 12, 16),
    },
  ],

  // Gradients of a norm's weights are sums over its rows.
  layerNormF32: rows([6, 7], [0, 3], [1, 2], 0.35),
  layerNormBackwardF32: { ...rows([8, 9], [0, 3, 4], [5, 6], 0.3), sums: [1, 2] },
  rmsNormF32: rows([4, 5], [0, 2], [1], 0.2),
  rmsNormBackwardF32: { ...rows([6, 7], [0, 2, 3], [4], 0.3), sums: [1] },
  softmaxF32: rows([3, 4], [0, 1], [2], 1),
  crossEntropyF32: rows([4, 5], [2], [0, 1, 3], 1),
  crossEntropyBackwardF32: rows([4, 5], [0, 2], [1, 3], 0.8),
  crossEntropyInPlaceF32: rows([3, 4], [1], [0, 2], 1.2),
  gatherRowsF32: rows([3, 4], [0], [2], 0.05),
  broadcastRowF32: rows([2, 3], [0], [], 0.05),

  geluF32: elements(2, [0, 1], 1),
  geluBackwardF32: elements(3, [0, 1, 2], 0.8),
  geluTanhF32: elements(2, [0, 1], 1.2),
  geluTanhBackwardF32: elements(3, [0, 1, 2], 1.5),
  siluF32: elements(2, [0, 1], 1),
  siluBackwardF32: elements(3, [0, 1, 2], 1.2),
  siluMulF32: elements(3, [0, 1, 2], 1.1),
  siluMulBackwardF32: elements(5, [0, 1, 2, 3, 4], 1.4),
  tanhF32: elements(2, [0, 1], 0.7),
  tanhBackwardF32: elements(3, [0, 1, 2], 0.15),
  reluF32: elements(2, [0, 1], 0.1),
  reluBackwardF32: elements(3, [0, 1, 2], 0.1),
  addF32: elements(3, [0, 1, 2], 0.1),
  mulF32: elements(3, [0, 1, 2], 0.1),
  scaleF32: elements(3, [0, 1], 0.1),
  axpyF32: elements(3, [0, 1], 0.1),
  fillF32: elements(2, [0], 0.05),
  dropoutF32: { ...elements(2, [0, 1], 0.6), numbers: [7] },
  adamWF32: elements(4, [0, 1, 2, 3], 0.5),
  sgdF32: elements(3, [0, 1, 2], 0.25),
  f16ToF32: {
    ...elements(2, [0], 0.3),
    moves: [by(0), moveBytes(2, 1)],
  },
  bf16ToF32: {
    ...elements(2, [0], 0.15),
    moves: [by(0), moveBytes(2, 1)],
  },
  f32ToF16: {
    ...elements(2, [0], 0.45),
    moves: [moveBytes(2, 0), by(1)],
  },
  f32ToBf16: {
    ...elements(2, [0], 0.2),
    moves: [moveBytes(2, 0), by(1)],
  },

  // positions advance by one per row, the tables of angles stay.
  ropeF32: {
    count: 5,
    grain: 1,
    moves: [by(0, 6, 7), by(1, 6, 7), by(4)],
    unitNs: costs(0.15, 6, 7),
  },
  // Packed sequences of some tens of tokens, which their offsets lead to.
  meanPoolF32: { count: 3, grain: 1, moves: [by(0, 4), by(2)], unitNs: costs(10, 4) },
  meanPoolBackwardF32: { count: 3, grain: 1, moves: [by(1, 4), by(2)], unitNs: costs(10, 4) },
  // Sequences [B, T, U, S]; packed ones have T 0, and their offsets lead to them.
  unitDotsF32: {
    count: 4,
    grain: 1,
    moves: [by(0, 6), by(1, 5, 6, 7), by(2, 5, 6, 7), by(3)],
    unitNs: costs(0.1, 5, 6, 7),
  },
  unitAbsDotsF32: {
    count: 4,
    grain: 1,
    moves: [by(0, 6), by(1, 5, 6, 7), by(2, 5, 6, 7), by(3)],
    unitNs: costs(0.1, 5, 6, 7),
  },
  unitAbsSumsF32: {
    count: 3,
    grain: 1,
    moves: [by(0, 5), by(1, 4, 5, 6), by(2)],
    unitNs: costs(0.1, 4, 5, 6),
  },
};

const lists = new Map(Object.entries(table).map(([name, entry]) => [name, [entry].flat()]));

/** The divisions that a kernel has, none for one that stays whole. */
export function splitsOf(name: keyof Kernels): readonly Split[] {
  return lists.get(name) ?? [];
}

/** The kernels that are shared out. */
export const sharedKernels = [...lists.keys()] as readonly (keyof Kernels)[];
