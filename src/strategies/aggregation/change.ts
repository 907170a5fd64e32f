/** What one update changes of a layer: the space in which robust rules compare devices. */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray, takeCols, takeRows } from "../../base/arrays.ts";
import { sumOfProducts } from "./product-sum.ts";
import { rankOf } from "./update-check.ts";

/**
 * `s B A - s0 B0 A0` as one module of the update's rows and columns, where the start is cut to the directions that a device of the
 * update's rank was sent. Factors say nothing when they are compared one by one, since the same change has many of them; products
 * do, and a device of a lower rank or with fewer units has not changed what it was not sent.
 */
export function changeOf(module: LoraModule, start: LoraModule | undefined): LoraModule {
  if (start === undefined) return module;
  const sent = cutTo(start, module);
  return sumOfProducts([
    { module, factor: 1 },
    { module: sent, factor: -1 },
  ]);
}

/** The first directions of an unpruned module, at the rows and columns that `like` has. */
function cutTo(whole: LoraModule, like: LoraModule): LoraModule {
  const { rows, cols } = like;
  const [R, r] = [rankOf(whole), Math.min(rankOf(whole), rankOf(like))];
  const [inputs, outputs] = [whole.a.shape[1] ?? 0, whole.b.shape[0] ?? 0];
  const a = hostArray([r, inputs], whole.a.data.slice(0, r * inputs));
  const b = hostArray([outputs, r]);
  for (let o = 0; o < outputs; o++) b.data.set(whole.b.data.subarray(o * R, o * R + r), o * r);
  return {
    ...whole,
    a: cols === undefined ? a : takeCols(a, cols.indices),
    b: rows === undefined ? b : takeRows(b, rows.indices),
  };
}
