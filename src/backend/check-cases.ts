/** What the self-check calls: for each kernel its arguments, as a function of one odd or even size. */
import type { Rng } from "../base/rng.ts";
import type { Kernels } from "./kernels.ts";

/** Kernels that compute; the others answer questions about sizes or choose between equal ways. */
export type CheckedKernel = Exclude<
  keyof Kernels,
  | "heapBase"
  | "matmulScratchBytes"
  | "attentionScratchBytes"
  | "int8DotOffset"
  | "int8ScratchBytes"
  | "widenedScratchBytes"
  | "useWideTiles"
>;

/** A buffer argument: what it holds before the call, and whether the call's result is compared. */
export interface CheckBuffer {
  readonly type: "f32" | "i32" | "u16" | "scratch";
  /** Elements; bytes for scratch. */
  readonly length: number;
  readonly fill: (rng: Rng, index: number) => number;
}

export type CheckArgument = number | CheckBuffer;

/** As many arguments as the kernel takes. */
type ArgumentsFor<Parameter extends readonly unknown[]> = {
  readonly [Index in keyof Parameter]: CheckArgument;
};

const f32 = (length: number): CheckBuffer => ({ type: "f32", length, fill: (rng) => rng.normal() });
/** Uniform in [0, 1): second moments, probabilities, reciprocal spreads. */
const unit = (length: number): CheckBuffer => ({ type: "f32", length, fill: (rng) => rng.next() });
const below = (bound: number, length: number): CheckBuffer => ({
  type: "i32",
  length,
  fill: (rng) => rng.int(bound),
});
/** Half-precision patterns of both formats, without infinities and NaN. */
const halves = (length: number): CheckBuffer => ({
  type: "u16",
  length,
  fill: (rng) => rng.int(0x7800) + 0x8000 * rng.int(2),
});
/** Half-precision numbers of magnitudes below 2. */
const smallHalves = (length: number): CheckBuffer => ({
  type: "u16",
  length,
  fill: (rng) => rng.int(0x4000) + 0x8000 * rng.int(2),
});
const special = (length: number): CheckBuffer => ({
  type: "f32",
  length,
  fill: (rng) => rng.pick([NaN, Infinity, -Infinity, 0, -1, 3e38]),
});
/** Two values of an int8 weight or four of an int4 weight in each. */
const packed = (length: number): CheckBuffer => ({
  type: "u16",
  length,
  fill: (rng) => rng.int(0x10000),
});
/** Scales around 0.1 of int4 groups. */
const groupScales = (length: number): CheckBuffer => ({
  type: "u16",
  length,
  fill: (rng) => 0x2c00 + rng.int(0x400),
});
const scratch = (length: number): CheckBuffer => ({ type: "scratch", length, fill: () => 0 });

const rows = 5;
const vocabulary = 9;
/** Attention: batch, query heads, key heads, head size. */
const [B, H, G, D] = [2, 4, 2, 10];
const ignoreIndex = -1;

type Cases = {
  readonly [Kernel in CheckedKernel]: (
    n: number,
    kernels: Kernels,
  ) => ArgumentsFor<Parameters<Kernels[Kernel]>>;
};

/** Where B sequences begin that share `count` rows: a third of them, and the others. */
function offsets(count: number): CheckBuffer {
  const third = Math.floor(count / 3);
  return { type: "i32", length: B + 1, fill: (_, b) => (b === B ? count : b * third) };
}

function attention(n: number, kernels: Kernels) {
  return {
    queries: f32(B * n * H * D),
    keys: f32(B * n * G * D),
    lse: f32(B * n * H),
    sequences: offsets(B * n),
    room: scratch(kernels.attentionScratchBytes(B * n, D)),
  };
}

/** out[n,N] = a b over K for one size: the buffers in order, scratch and M N K. */
function product(n: number, kernels: Kernels) {
  const [N, K] = [n + 2, 2 * n];
  const room = scratch(kernels.matmulScratchBytes(n, N, K));
  return { N, K, head: [f32(n * N), f32(n * K), f32(N * K), room, n, N, K] as const };
}

/** The same with a weight that is no f32: `values` and their scales in place of b. */
function storedProduct(n: number, values: CheckBuffer, scales: CheckBuffer, scratchBytes: number) {
  const [N, K] = [n + 2, 2 * n];
  return [f32(n * N), f32(n * K), values, scales, scratch(scratchBytes), n, N, K, K, N] as const;
}

/** The arguments of one call per kernel for size `n`; a kernel without a case does not compile. */
export const checkCases: Cases = {
  fillF32: (n) => [f32(n), 0.75, n],
  copyF32: (n) => [f32(n), f32(n), n],
  addF32: (n) => [f32(n), f32(n), f32(n), n],
  mulF32: (n) => [f32(n), f32(n), f32(n), n],
  scaleF32: (n) => [f32(n), f32(n), 0.3, n],
  axpyF32: (n) => [f32(n), f32(n), 0.3, n],
  broadcastRowF32: (n) => [f32(rows * n), f32(n), rows, n],
  dropoutF32: (n) => [f32(n), f32(n), n, 1, 2, 1 << 30, 4 / 3, 0],
  geluF32: (n) => [f32(n), f32(n), n],
  geluBackwardF32: (n) => [f32(n), f32(n), f32(n), n],
  geluTanhF32: (n) => [f32(n), f32(n), n],
  geluTanhBackwardF32: (n) => [f32(n), f32(n), f32(n), n],
  siluF32: (n) => [f32(n), f32(n), n],
  siluBackwardF32: (n) => [f32(n), f32(n), f32(n), n],
  reluF32: (n) => [f32(n), f32(n), n],
  reluBackwardF32: (n) => [f32(n), f32(n), f32(n), n],
  tanhF32: (n) => [f32(n), f32(n), n],
  tanhBackwardF32: (n) => [f32(n), f32(n), unit(n), n],
  siluMulF32: (n) => [f32(n), f32(n), f32(n), n],
  siluMulBackwardF32: (n) => [f32(n), f32(n), f32(n), f32(n), f32(n), n],
  layerNormF32: (n) => {
    const [table, column, row] = [f32(rows * n), f32(rows), f32(n)];
    return [table, column, column, table, row, row, rows, n, 1e-3];
  },
  layerNormBackwardF32: (n) => {
    const [table, column, row] = [f32(rows * n), unit(rows), f32(n)];
    return [table, row, row, table, table, column, column, row, rows, n];
  },
  rmsNormF32: (n) => [f32(rows * n), f32(rows), f32(rows * n), f32(n), rows, n, 1e-3],
  rmsNormBackwardF32: (n) => {
    const [table, row] = [f32(rows * n), f32(n)];
    return [table, row, table, table, unit(rows), row, rows, n];
  },
  softmaxF32: (n) => [f32(rows * n), f32(rows * n), below(n + 1, rows), rows, n],
  attentionF32: (n, kernels) => {
    const { queries, keys, lse, sequences, room } = attention(n, kernels);
    return [
      queries,
      lse,
      queries,
      keys,
      keys,
      sequences,
      room,
      B,
      B * n,
      G,
      H / G,
      G,
      D,
      0.3,
      n % 2,
    ];
  },
  attentionBackwardF32: (n, kernels) => {
    const { queries, keys, lse, sequences, room } = attention(n, kernels);
    const gradients = [queries, keys, keys, queries] as const;
    const inputs = [queries, lse, queries, keys, keys, sequences, room] as const;
    return [...gradients, ...inputs, B, B * n, G, H / G, G, D, 0.1, n % 2];
  },
  attentionDecodeF32: (n) => {
    const [query, cache] = [f32(H * D), f32(n * G * D)];
    return [query, query, cache, cache, scratch(4 * n), n, H, G, D, 0.3];
  },
  ropeF32: (n) => {
    const [heads, table] = [f32(rows * 2 * D), f32((n * D) / 2)];
    return [heads, heads, table, table, below(n, rows), rows, 2, D, -1];
  },
  gatherRowsF32: (n) => [f32(rows * n), f32(vocabulary * n), below(vocabulary, rows), rows, n],
  scatterAddRowsF32: (n) => [f32(vocabulary * n), f32(rows * n), below(vocabulary, rows), rows, n],
  meanPoolF32: (n) => [f32(B * n), f32(rows * n), offsets(rows), B, n],
  meanPoolBackwardF32: (n) => [f32(rows * n), f32(B * n), offsets(rows), B, n],
  crossEntropyF32: (n) => {
    const column = f32(rows);
    return [column, column, f32(rows * n), below(n, rows), rows, n, ignoreIndex];
  },
  crossEntropyBackwardF32: (n) => {
    const table = f32(rows * n);
    return [table, unit(rows), table, below(n, rows), rows, n, ignoreIndex, 0.2];
  },
  crossEntropyInPlaceF32: (n) => {
    return [f32(rows), f32(rows * n), below(n, rows), rows, n, ignoreIndex, 0.2];
  },
  unitDotsF32: (n) => {
    const heads = f32(B * n * H * D);
    return [f32(B * H), heads, heads, offsets(B * n), B, 0, H, D];
  },
  unitAbsDotsF32: (n) => {
    const channels = f32(B * rows * n);
    return [f32(B * n), channels, channels, 0, B, rows, n, 1];
  },
  unitAbsSumsF32: (n) => [f32(B * H), f32(B * n * H * D), offsets(B * n), B, 0, H, D],
  sumF32: (n) => [f32(n), n],
  sumSquaresF32: (n) => [f32(n), n],
  sumRowsF32: (n) => [f32(n), f32(rows * n), rows, n],
  dotF32: (n) => [f32(n), f32(n), n],
  countNonFiniteF32: (n) => [special(n), n],
  adamWF32: (n) => {
    const moments = [f32(n), unit(n)] as const;
    return [f32(n), ...moments, f32(n), n, 0.01, 0.9, 0.999, 1e-8, 0.1, 0.5, 0.3, 0.5];
  },
  sgdF32: (n) => [f32(n), f32(n), f32(n), n, 0.1, 0.9, 0.01, 0.5],
  f16ToF32: (n) => [f32(n), halves(n), n],
  f32ToF16: (n) => [halves(n), f32(n), n],
  bf16ToF32: (n) => [f32(n), halves(n), n],
  f32ToBf16: (n) => [halves(n), f32(n), n],
  affineF32: (n, kernels) => {
    const { N, K, head } = product(n, kernels);
    const [out, a, b, room] = head;
    return [out, a, b, f32(N), room, n, N, K, K, K, N];
  },
  matmulNnF32: (n, kernels) => {
    const { N, K, head } = product(n, kernels);
    return [...head, K, N, N, 0.5, 0];
  },
  matmulNtF32: (n, kernels) => {
    const { N, K, head } = product(n, kernels);
    return [...head, K, K, N, 0.5, 1];
  },
  matmulTnF32: (n, kernels) => {
    const { N, head } = product(n, kernels);
    return [...head, n, N, N, 0.5, 1];
  },
  matmulNtInt8: (n, kernels) => {
    const room = kernels.int8ScratchBytes(n, 2 * n);
    return [...storedProduct(n, packed(n * (n + 2)), unit(n + 2), room), 0.5, 1];
  },
  matmulNnInt8: (n, kernels) => {
    const room = kernels.int8ScratchBytes(n, 2 * n);
    return [...storedProduct(n, packed(n * (n + 2)), unit(2 * n), room), 0.5, 0];
  },
  matmulNtInt4: (n, kernels) => {
    const groups = (n + 2) * Math.ceil((2 * n) / 32);
    const room = kernels.widenedScratchBytes(n, n + 2, 2 * n);
    return [...storedProduct(n, packed(8 * groups), groupScales(groups), room), 0.5, 1];
  },
  matmulNnInt4: (n, kernels) => {
    const groups = 2 * n * Math.ceil((n + 2) / 32);
    const room = kernels.widenedScratchBytes(n, n + 2, 2 * n);
    return [...storedProduct(n, packed(8 * groups), groupScales(groups), room), 0.5, 0];
  },
  matmulNtF16: (n, kernels) => {
    const room = scratch(kernels.widenedScratchBytes(n, n + 2, 2 * n));
    const weight = smallHalves(2 * n * (n + 2));
    return [f32(n * (n + 2)), f32(2 * n * n), weight, room, n, n + 2, 2 * n, 2 * n, n + 2, 0.5, 1];
  },
  matmulNnF16: (n, kernels) => {
    const room = scratch(kernels.widenedScratchBytes(n, n + 2, 2 * n));
    const weight = smallHalves(2 * n * (n + 2));
    return [f32(n * (n + 2)), f32(2 * n * n), weight, room, n, n + 2, 2 * n, 2 * n, n + 2, 0.5, 0];
  },
  quantiseRowsInt8: (n) => [packed(3 * n), f32(6), f32(6 * n), 6, n],
  dequantiseRowsInt8: (n) => [f32(6 * n), packed(3 * n), f32(6), 6, n],
  quantiseRowsInt4: (n) => {
    const groups = 6 * Math.ceil(n / 32);
    return [packed(8 * groups), groupScales(groups), f32(6 * n), 6, n];
  },
  dequantiseRowsInt4: (n) => {
    const groups = 6 * Math.ceil(n / 32);
    return [f32(6 * n), packed(8 * groups), groupScales(groups), 6, n];
  },
};
