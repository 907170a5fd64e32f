/** Everything `npm run bench` times: a name, a shape and a closure over buffers in kernel memory. */
import type { LoadedKernels } from "../src/backend/wasm.ts";
import { Rng } from "../src/base/rng.ts";
import { gflopOf, matmulShapes, type MatmulShape } from "./shapes.ts";

export interface BenchCase {
  readonly name: string;
  readonly shape: string;
  /** Work of one run; absent where milliseconds say more than a rate. */
  readonly gflop?: number;
  /** Lays out the buffers in the set's memory, over those of any earlier case. */
  readonly prepare: (set: LoadedKernels) => () => void;
}

/** Hands out buffers one after the other from the heap base, filled with seeded values. */
class Buffers {
  readonly #set: LoadedKernels;
  readonly #rng = Rng.fromSeed("bench");
  #top: number;

  constructor(set: LoadedKernels) {
    this.#set = set;
    this.#top = set.kernels.heapBase();
  }

  bytes(count: number): number {
    const start = Math.ceil(this.#top / 64) * 64;
    this.#top = start + count;
    const missing = this.#top - this.#set.memory.buffer.byteLength;
    if (missing > 0) this.#set.memory.grow(Math.ceil(missing / 65536));
    return start;
  }

  /** Uniform in [-1, 1). */
  floats(count: number): number {
    const start = this.bytes(4 * count);
    const view = new Float32Array(this.#set.memory.buffer, start, count);
    view.forEach((_, i) => (view[i] = 2 * this.#rng.next() - 1));
    return start;
  }

  /** 0, step, 2 step and so on. */
  rising(count: number, step: number): number {
    const start = this.bytes(4 * count);
    const view = new Int32Array(this.#set.memory.buffer, start, count);
    view.forEach((_, i) => (view[i] = i * step));
    return start;
  }

  /** Uniform in [0, bound). */
  integers(count: number, bound: number): number {
    const start = this.bytes(4 * count);
    const view = new Int32Array(this.#set.memory.buffer, start, count);
    view.forEach((_, i) => (view[i] = this.#rng.int(bound)));
    return start;
  }
}

function matmulCase(shape: MatmulShape): BenchCase {
  const { name, form, M, N, K } = shape;
  return {
    name: `matmul${form}F32`,
    shape: `${M}x${N}x${K} ${name}`,
    gflop: gflopOf(shape),
    prepare(set) {
      const buffers = new Buffers(set);
      const [a, b, out] = [M * K, N * K, M * N].map((count) => buffers.floats(count)) as [
        number,
        number,
        number,
      ];
      const scratch = buffers.bytes(set.kernels.matmulScratchBytes(M, N, K));
      const kernel = set.kernels[`matmul${form}F32`];
      const lda = form === "Tn" ? M : K;
      const ldb = form === "Nt" ? K : N;
      return () => kernel(out, a, b, scratch, M, N, K, lda, ldb, N, 1, 0);
    },
  };
}

/** The same step as in the shape table. */
const [B, T, C, H, F, V] = [16, 64, 192, 6, 768, 8192] as const;
const rows = B * T;
const D = C / H;

const otherCases: readonly BenchCase[] = [
  {
    name: "geluF32",
    shape: `${rows}x${F}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [inp, out] = [buffers.floats(rows * F), buffers.floats(rows * F)];
      return () => set.kernels.geluF32(out, inp, rows * F);
    },
  },
  {
    name: "geluBackwardF32",
    shape: `${rows}x${F}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [inp, dOut] = [buffers.floats(rows * F), buffers.floats(rows * F)];
      const dInp = buffers.floats(rows * F);
      return () => set.kernels.geluBackwardF32(dInp, dOut, inp, rows * F);
    },
  },
  {
    name: "layerNormF32",
    shape: `${rows}x${C}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [inp, out] = [buffers.floats(rows * C), buffers.floats(rows * C)];
      const [weight, bias] = [buffers.floats(C), buffers.floats(C)];
      const [mean, rstd] = [buffers.floats(rows), buffers.floats(rows)];
      return () => set.kernels.layerNormF32(out, mean, rstd, inp, weight, bias, rows, C, 1e-12);
    },
  },
  {
    name: "softmaxF32",
    shape: `${B * H * T}x${T}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [inp, out] = [buffers.floats(B * H * T * T), buffers.floats(B * H * T * T)];
      return () => set.kernels.softmaxF32(out, inp, 0, B * H * T, T);
    },
  },
  {
    name: "attentionF32",
    shape: `B${B} T${T} H${H} D${D}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [q, k, v] = [
        buffers.floats(rows * C),
        buffers.floats(rows * C),
        buffers.floats(rows * C),
      ];
      const [out, lse] = [buffers.floats(rows * C), buffers.floats(rows * H)];
      const offsets = buffers.rising(B + 1, T);
      const scratch = buffers.bytes(set.kernels.attentionScratchBytes(T, D));
      return () =>
        set.kernels.attentionF32(
          ...([out, lse, q, k, v, offsets, scratch] as const),
          ...([B, T, H, 1, H, D, D ** -0.5, 0] as const),
        );
    },
  },
  {
    name: "attentionBackwardF32",
    shape: `B${B} T${T} H${H} D${D}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const floats = (count: number): number[] =>
        Array.from({ length: count }, () => buffers.floats(rows * C));
      const [dQ, dK, dV, dOut] = floats(4) as [number, number, number, number];
      const [out, q, k, v] = floats(4) as [number, number, number, number];
      const [lse, offsets] = [buffers.floats(rows * H), buffers.rising(B + 1, T)];
      const scratch = buffers.bytes(set.kernels.attentionScratchBytes(T, D));
      return () =>
        set.kernels.attentionBackwardF32(
          ...([dQ, dK, dV, dOut, out, lse, q, k, v, offsets, scratch] as const),
          ...([B, T, H, 1, H, D, D ** -0.5, 0] as const),
        );
    },
  },
  {
    name: "crossEntropyF32",
    shape: `300x${V}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [losses, lse] = [buffers.floats(300), buffers.floats(300)];
      const [logits, labels] = [buffers.floats(300 * V), buffers.integers(300, V)];
      return () => set.kernels.crossEntropyF32(losses, lse, logits, labels, 300, V, -100);
    },
  },
  {
    name: "dropoutF32",
    shape: `${rows}x${C}`,
    prepare(set) {
      const buffers = new Buffers(set);
      const [inp, out] = [buffers.floats(rows * C), buffers.floats(rows * C)];
      return () => set.kernels.dropoutF32(out, inp, rows * C, 1, 2, 0x19999999, 1 / 0.9, 0);
    },
  },
  {
    name: "adamWF32",
    shape: "1000000",
    prepare(set) {
      const n = 1_000_000;
      const buffers = new Buffers(set);
      const [param, grad] = [buffers.floats(n), buffers.floats(n)];
      const [m, v] = [buffers.floats(n), buffers.floats(n)];
      set.kernels.mulF32(v, v, v, n);
      return () =>
        set.kernels.adamWF32(param, m, v, grad, n, 1e-4, 0.9, 0.999, 1e-8, 0.01, 0.5, 0.5, 1);
    },
  },
];

export const benchCases: readonly BenchCase[] = [...matmulShapes.map(matmulCase), ...otherCases];
