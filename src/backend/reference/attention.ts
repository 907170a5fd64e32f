/** Attention one score at a time, with f64 sums. */
import type { KernelSubset } from "../kernels.ts";
import { softmaxOf } from "./softmax.ts";
import { at, floats, sequences } from "./views.ts";

type AttentionName =
  "attentionScratchBytes" | "attentionF32" | "attentionBackwardF32" | "attentionDecodeF32";

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * at(b, i), 0);
}

/** Weighted sum of rows: what a query takes from the values, and what flows back to keys. */
function mix(weights: readonly number[], rows: readonly Float32Array[], D: number): number[] {
  return Array.from({ length: D }, (_, d) =>
    weights.reduce((sum, weight, i) => sum + weight * at(rows[i] as Float32Array, d), 0),
  );
}

/** Logarithm of the sum of e^x; NaN where an entry is NaN or +inf. */
function logOfSum(row: readonly number[]): number {
  const top = row.reduce((best, x) => (x > best ? x : best), -Infinity);
  return top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
}

/** Twins of the files assembly/attention*.ts over `memory`, with the same arguments. */
export function createAttentionTwins(memory: WebAssembly.Memory): KernelSubset<AttentionName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);

  /** Calls `action` for each query of the first heads: its row and head, its key head and the rows that it sees. */
  function forEachQuery(
    offsets: number,
    [B, heads, group]: readonly [number, number, number],
    causal: number,
    action: (row: number, h: number, g: number, seen: readonly number[]) => void,
  ): void {
    for (const { first, end } of sequences(memory, offsets, B)) {
      for (let h = 0; h < heads * group; h++) {
        for (let row = first; row < end; row++) {
          const count = (causal === 0 ? end : row + 1) - first;
          action(
            row,
            h,
            Math.floor(h / group),
            Array.from({ length: count }, (_, s) => first + s),
          );
        }
      }
    }
  }

  return {
    attentionScratchBytes: () => 0,
    attentionF32: (...args) => {
      const [out, lse, q, k, v, offsets, , B, , heads, group, G, D, scale, causal] = args;
      const H = G * group;
      forEachQuery(offsets, [B, heads, group], causal, (row, h, g, seen) => {
        const query = view(q + 4 * (row * H + h) * D, D);
        const rowsOf = (base: number): Float32Array[] =>
          seen.map((s) => view(base + 4 * (s * G + g) * D, D));
        const scores = rowsOf(k).map((key) => Math.fround(scale) * dot(query, key));
        view(lse, row * H + h + 1)[row * H + h] = logOfSum(scores);
        view(out + 4 * (row * H + h) * D, D).set(mix(softmaxOf(scores), rowsOf(v), D));
      });
    },
    attentionBackwardF32: (...args) => {
      const [dQ, dK, dV, dOut, out, lse, q, k, v, offsets, , B, , heads, group, G, D] = args;
      const [H, scale, causal] = [G * group, Math.fround(args[17]), args[18]];
      const sums = new Map<number, Float64Array>();
      const sumAt = (pointer: number): Float64Array => {
        const sum = sums.get(pointer) ?? new Float64Array(D);
        sums.set(pointer, sum);
        return sum;
      };
      const add = (pointer: number, factor: number, row: Float32Array): void => {
        sumAt(pointer).forEach((_, d, all) => (all[d] = at(all, d) + factor * at(row, d)));
      };
      forEachQuery(offsets, [B, heads, group], causal, (row, h, g, seen) => {
        const own = 4 * (row * H + h) * D;
        const [query, slope] = [view(q + own, D), view(dOut + own, D)];
        const delta = dot(slope, view(out + own, D));
        const logSum = at(view(lse, row * H + h + 1), row * H + h);
        sumAt(dQ + own);
        for (const s of seen) {
          const shared = 4 * (s * G + g) * D;
          const key = view(k + shared, D);
          const weight = Math.exp(scale * dot(query, key) - logSum);
          const dScore = weight * (dot(slope, view(v + shared, D)) - delta) * scale;
          add(dQ + own, dScore, key);
          add(dK + shared, dScore, query);
          add(dV + shared, weight, slope);
        }
      });
      for (const [pointer, sum] of sums) view(pointer, D).set(sum);
    },
    attentionDecodeF32: (out, q, keys, values, _scratch, S, H, G, D, scale) => {
      for (let h = 0; h < H; h++) {
        const group = Math.floor(h / (H / G));
        const row = (base: number, s: number): Float32Array =>
          view(base + 4 * ((s * G + group) * D), D);
        const positions = Array.from({ length: S }, (_, s) => s);
        const query = view(q + 4 * h * D, D);
        const weights = softmaxOf(
          positions.map((s) => Math.fround(scale) * dot(query, row(keys, s))),
        );
        view(out + 4 * h * D, D).set(
          mix(
            weights,
            positions.map((s) => row(values, s)),
            D,
          ),
        );
      }
    },
  };
}
