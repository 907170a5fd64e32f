/** How matrix products divide: over the columns of out, or over its rows. */
import type { Kernels } from "../kernels.ts";
import { by, costs, moveBytes, sizeOf, type Move, type Scratch, type Split } from "./split.ts";

/** Of one multiply-add, and of a number of the weight to be read at all. */
const F32_NS = 0.03;
const INT8_NS = 0.015;
const READ_NS = 0.05;

/** Columns that the products pack at a time: shares of whole blocks pack nothing twice. */
const BLOCK = 128;
/** Columns of the widest tile. */
const TILE = 16;

interface ProductArguments {
  /** The argument M; N, K and the row stride of a follow it, scratch is before it. */
  readonly M: number;
  /** The row stride of out. */
  readonly outRow: number;
  /** Of a, from one row of out to the next. */
  readonly aRow: Move;
  /** What follows the columns; nothing where the weight cannot be entered at a column. */
  readonly columns: readonly Move[];
  readonly scratchBytes: Scratch["bytes"];
  readonly ns: number;
}

function product(args: ProductArguments): readonly Split[] {
  const { M, outRow, aRow, columns, scratchBytes, ns } = args;
  const [N, K] = [M + 1, M + 2];
  const scratch = { pointer: M - 1, bytes: scratchBytes };
  const moves = [by(0, outRow), aRow];
  const columnNs = (a: readonly number[]): number =>
    sizeOf(a, [K]) * (ns * sizeOf(a, [M]) + READ_NS);
  const rowNs = (a: readonly number[]): number => (columnNs(a) * sizeOf(a, [N])) / sizeOf(a, [M]);
  const overRows = { count: M, grain: 8, moves, unitNs: rowNs, scratch };
  if (columns.length === 0) return [overRows];
  const overColumns = (grain: number): Split => ({
    ...{ count: N, grain, moves: [by(0), ...columns], unitNs: columnNs, scratch },
  });
  return [overColumns(BLOCK), overRows, overColumns(TILE)];
}

/** out a b scratch M N K lda ldb ldc */
function denseProduct(aRow: Move, bColumn: Move): readonly Split[] {
  return product({
    ...{ M: 4, outRow: 9, aRow, columns: [bColumn], ns: F32_NS },
    scratchBytes: (kernels, args) => kernels.matmulScratchBytes(...sizes(args, 4)),
  });
}

/** out a b bias scratch M N K lda ldb ldc */
const affine = product({
  ...{ M: 5, outRow: 10, aRow: by(1, 8), columns: [by(2, 9), by(3)], ns: F32_NS },
  scratchBytes: (kernels, args) => kernels.matmulScratchBytes(...sizes(args, 5)),
});

/** out a values (scales) scratch M N K lda ldc; the weight is [N, K], or [K, N] and `columns` empty. */
function storedProduct(M: number, columns: readonly Move[]): readonly Split[] {
  return product({
    ...{ M, outRow: M + 4, aRow: by(1, M + 3), columns, ns: F32_NS },
    scratchBytes: (kernels, args) => kernels.widenedScratchBytes(...sizes(args, M)),
  });
}

function int8Product(columns: readonly Move[]): readonly Split[] {
  const M = 5;
  return product({
    ...{ M, outRow: M + 4, aRow: by(1, M + 3), columns, ns: INT8_NS },
    scratchBytes: (kernels, args) => {
      const [rows, , depth] = sizes(args, M);
      return kernels.int8ScratchBytes(rows, depth);
    },
  });
}

/** M, N and K, of which M is at the position given. */
function sizes(args: readonly number[], M: number): [number, number, number] {
  return [args[M] as number, args[M + 1] as number, args[M + 2] as number];
}

/** Rows of int4: half a byte for each of K numbers, in groups of 32 with a scale of 2 bytes. */
const groupsOf = (bytes: number, pointer: number, K: number): Move => ({
  pointer,
  stride: (args) => bytes * Math.ceil(sizeOf(args, [K]) / 32),
});

export const productSplits: { readonly [Name in keyof Kernels]?: readonly Split[] } = {
  affineF32: affine,
  matmulNnF32: denseProduct(by(1, 7), by(2)),
  matmulNtF32: denseProduct(by(1, 7), by(2, 8)),
  matmulTnF32: denseProduct(by(1), by(2)),
  matmulNtInt8: int8Product([moveBytes(1, 2, 7), by(3)]),
  matmulNnInt8: int8Product([]),
  matmulNtInt4: storedProduct(5, [groupsOf(16, 2, 7), groupsOf(2, 3, 7)]),
  matmulNnInt4: storedProduct(5, []),
  matmulNtF16: storedProduct(4, [moveBytes(2, 2, 6)]),
  matmulNnF16: storedProduct(4, []),
};

/** Rows of a weight and the number of each row. */
export const storageSplits: { readonly [Name in keyof Kernels]?: Split } = {
  quantiseRowsInt8: {
    ...{ count: 3, grain: 1, moves: [moveBytes(1, 0, 4), by(1), by(2, 4)], unitNs: costs(0.4, 4) },
  },
  dequantiseRowsInt8: {
    ...{ count: 3, grain: 1, moves: [by(0, 4), moveBytes(1, 1, 4), by(2)], unitNs: costs(0.1, 4) },
  },
  quantiseRowsInt4: {
    count: 3,
    grain: 1,
    moves: [groupsOf(16, 0, 4), groupsOf(2, 1, 4), by(2, 4)],
    unitNs: costs(3, 4),
  },
  dequantiseRowsInt4: {
    count: 3,
    grain: 1,
    moves: [by(0, 4), groupsOf(16, 1, 4), groupsOf(2, 2, 4)],
    unitNs: costs(0.2, 4),
  },
};
