/** Sums over units with f64 sums, in ascending order. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats, sequences } from "./views.ts";

type UnitScoreName = "unitDotsF32" | "unitAbsDotsF32" | "unitAbsSumsF32";

/** Twins of assembly/unit-scores.ts over `memory`, with the same arguments. */
export function createUnitScoreTwins(memory: WebAssembly.Memory): KernelSubset<UnitScoreName> {
  type Sizes = readonly [offsets: number, B: number, T: number, U: number, S: number];
  const unitSums = (
    out: number,
    [offsets, B, T, U, S]: Sizes,
    valueAt: (i: number) => number,
  ): void => {
    sequences(memory, offsets, B, T).forEach(({ first, end }, b) => {
      const sums = new Float64Array(U);
      for (let i = first * U * S; i < end * U * S; i++) {
        const u = Math.floor(i / S) % U;
        sums[u] = at(sums, u) + valueAt(i);
      }
      floats(memory, out + 4 * b * U, U).set(sums);
    });
  };
  return {
    unitDotsF32: (out, a, b, ...sizes) => unitSums(out, sizes, products(a, b, sizes)),
    unitAbsDotsF32: (out, a, b, ...sizes) => {
      const product = products(a, b, sizes);
      unitSums(out, sizes, (i) => Math.abs(product(i)));
    },
    unitAbsSumsF32: (out, a, ...sizes) => {
      const values = floats(memory, a, elements(sizes));
      unitSums(out, sizes, (i) => Math.abs(at(values, i)));
    },
  };

  function products(a: number, b: number, sizes: Sizes): (i: number) => number {
    const [left, right] = [floats(memory, a, elements(sizes)), floats(memory, b, elements(sizes))];
    return (i) => at(left, i) * at(right, i);
  }

  function elements([offsets, B, T, U, S]: Sizes): number {
    return (sequences(memory, offsets, B, T).at(-1)?.end ?? 0) * U * S;
  }
}
