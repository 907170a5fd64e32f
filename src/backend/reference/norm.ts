/** Layer norm and RMS norm by their formulas, row by row. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

type NormName = "layerNormF32" | "layerNormBackwardF32" | "rmsNormF32" | "rmsNormBackwardF32";

function sumOf(n: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += term(i);
  return sum;
}

/** Twins of assembly/norm.ts over `memory`, with the same arguments. */
export function createNormTwins(memory: WebAssembly.Memory): KernelSubset<NormName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);

  function backward(
    dInp: number,
    dWeight: number,
    dBias: number,
    dOut: number,
    inp: number,
    saved: (row: number) => { mean: number; rstd: number },
    weight: number,
    rows: number,
    cols: number,
    centered: boolean,
  ): void {
    const w = view(weight, cols);
    for (let r = 0; r < rows; r++) {
      const { mean, rstd } = saved(r);
      const x = Float64Array.from(view(inp + 4 * r * cols, cols), (value) => (value - mean) * rstd);
      const d = view(dOut + 4 * r * cols, cols).slice();
      const g = Float64Array.from(d, (value, c) => value * at(w, c));
      const meanG = centered ? sumOf(cols, (c) => at(g, c)) / cols : 0;
      const meanP = sumOf(cols, (c) => at(g, c) * at(x, c)) / cols;
      if (dWeight !== 0) {
        const target = view(dWeight, cols);
        for (let c = 0; c < cols; c++) target[c] = at(target, c) + at(d, c) * at(x, c);
      }
      if (dBias !== 0) {
        const target = view(dBias, cols);
        for (let c = 0; c < cols; c++) target[c] = at(target, c) + at(d, c);
      }
      view(dInp + 4 * r * cols, cols).set(
        g.map((value, c) => rstd * (value - meanG - at(x, c) * meanP)),
      );
    }
  }

  return {
    layerNormF32: (out, mean, rstd, inp, weight, bias, rows, cols, eps) => {
      const [w, b] = [view(weight, cols), view(bias, cols)];
      for (let r = 0; r < rows; r++) {
        const x = view(inp + 4 * r * cols, cols);
        const center = sumOf(cols, (c) => at(x, c)) / cols;
        const spread = sumOf(cols, (c) => (at(x, c) - center) ** 2) / cols;
        const scale = 1 / Math.sqrt(spread + Math.fround(eps));
        view(out + 4 * r * cols, cols).set(
          x.map((value, c) => (value - center) * scale * at(w, c) + at(b, c)),
        );
        view(mean, rows)[r] = center;
        view(rstd, rows)[r] = scale;
      }
    },
    layerNormBackwardF32: (dInp, dWeight, dBias, dOut, inp, mean, rstd, weight, rows, cols) => {
      const [means, scales] = [view(mean, rows), view(rstd, rows)];
      const saved = (r: number) => ({ mean: at(means, r), rstd: at(scales, r) });
      backward(dInp, dWeight, dBias, dOut, inp, saved, weight, rows, cols, true);
    },
    rmsNormF32: (out, rstd, inp, weight, rows, cols, eps) => {
      const w = view(weight, cols);
      for (let r = 0; r < rows; r++) {
        const x = view(inp + 4 * r * cols, cols);
        const scale = 1 / Math.sqrt(sumOf(cols, (c) => at(x, c) ** 2) / cols + Math.fround(eps));
        view(out + 4 * r * cols, cols).set(x.map((value, c) => value * scale * at(w, c)));
        view(rstd, rows)[r] = scale;
      }
    },
    rmsNormBackwardF32: (dInp, dWeight, dOut, inp, rstd, weight, rows, cols) => {
      const scales = view(rstd, rows);
      const saved = (r: number) => ({ mean: 0, rstd: at(scales, r) });
      backward(dInp, dWeight, 0, dOut, inp, saved, weight, rows, cols, false);
    },
  };
}
