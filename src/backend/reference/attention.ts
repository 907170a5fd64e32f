/** Attention one score at a time, with f64 sums. */
import type { KernelSubset } from "../kernels.ts";
import { softmaxOf } from "./softmax.ts";
import { at, floats, validLengths } from "./views.ts";

type AttentionName =
  "attentionScratchBytes" | "attentionF32" | "attentionBackwardF32" | "attentionDecodeF32";

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * at(b, i), 0);
}

/** Twins of assembly/attention.ts over `memory`, with the same arguments. */
export function createAttentionTwins(memory: WebAssembly.Memory): KernelSubset<AttentionName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);

  /** Weighted sum of rows: what a query takes from the values, and what flows back to keys. */
  function mix(weights: readonly number[], rows: readonly Float32Array[], D: number): number[] {
    return Array.from({ length: D }, (_, d) =>
      weights.reduce((sum, weight, i) => sum + weight * at(rows[i] as Float32Array, d), 0),
    );
  }

  return {
    attentionScratchBytes: () => 0,
    attentionF32: (out, probs, q, k, v, lengths, _scratch, B, T, H, G, D, scale, causal) => {
      view(out, B * T * H * D).fill(0);
      view(probs, B * H * T * T).fill(0);
      validLengths(memory, lengths, B, T).forEach((valid, b) => {
        for (let h = 0; h < H; h++) {
          const group = Math.floor(h / (H / G));
          const head = (base: number, t: number): Float32Array =>
            view(base + 4 * (((b * T + t) * G + group) * D), D);
          for (let t = 0; t < valid; t++) {
            const queryOffset = 4 * (((b * T + t) * H + h) * D);
            const query = view(q + queryOffset, D);
            const seen = Array.from({ length: causal === 0 ? valid : t + 1 }, (_, s) => s);
            const scores = seen.map((s) => Math.fround(scale) * dot(query, head(k, s)));
            const weights = softmaxOf(scores);
            view(probs + 4 * (((b * H + h) * T + t) * T), seen.length).set(weights);
            view(out + queryOffset, D).set(
              mix(
                weights,
                seen.map((s) => head(v, s)),
                D,
              ),
            );
          }
        }
      });
    },
    attentionBackwardF32: (
      ...[dQ, dK, dV, dOut, probs, q, k, v, lengths, , B, T, H, G, D, scale]
    ) => {
      const factor = Math.fround(scale);
      view(dQ, B * T * H * D).fill(0);
      const keySums = new Float64Array(B * T * G * D);
      const valueSums = new Float64Array(B * T * G * D);
      validLengths(memory, lengths, B, T).forEach((valid, b) => {
        for (let h = 0; h < H; h++) {
          const group = Math.floor(h / (H / G));
          const own = (t: number): number => ((b * T + t) * H + h) * D;
          const shared = (t: number): number => ((b * T + t) * G + group) * D;
          for (let t = 0; t < valid; t++) {
            const weights = view(probs + 4 * (((b * H + h) * T + t) * T), valid);
            const slope = view(dOut + 4 * own(t), D);
            const dWeights = Array.from(weights, (_, s) => dot(slope, view(v + 4 * shared(s), D)));
            const mean = weights.reduce((sum, p, s) => sum + p * (dWeights[s] as number), 0);
            const dScores = dWeights.map((d, s) => at(weights, s) * (d - mean) * factor);
            const keyRows = dScores.map((_, s) => view(k + 4 * shared(s), D));
            view(dQ + 4 * own(t), D).set(mix(dScores, keyRows, D));
            const query = view(q + 4 * own(t), D);
            dScores.forEach((dScore, s) => {
              for (let d = 0; d < D; d++) {
                const i = shared(s) + d;
                keySums[i] = at(keySums, i) + dScore * at(query, d);
                valueSums[i] = at(valueSums, i) + at(weights, s) * at(slope, d);
              }
            });
          }
        }
      });
      view(dK, keySums.length).set(keySums);
      view(dV, valueSums.length).set(valueSums);
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
