/** From factors in double precision to the module of an adapter. */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray } from "../../base/arrays.ts";
import { type Dense, transposed } from "./dense.ts";
import type { Term } from "./layer-wise.ts";
import type { Factors } from "./low-rank.ts";

/** B = left and A = rightᵀ as float32, under the name that the terms share. */
export function moduleOf(
  terms: readonly Term[],
  { left, right }: Factors,
  scale: number,
): LoraModule {
  const name = terms[0]?.module.name ?? "";
  return { name, a: single(transposed(right)), b: single(left), scale };
}

function single({ rows, cols, data }: Dense): ReturnType<typeof hostArray> {
  return hostArray([rows, cols], Float32Array.from(data));
}
