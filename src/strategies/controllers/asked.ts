/** What a device was asked last and from what it was chosen: kept by every controller for its explanations. */
import { fields, integer, list, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import type { Choice, DeviceView, Explanation, RoundView } from "./controller.ts";

/** Reader of a saved {@link Asked}. */
export const askedShape = fields({
  round: integer(0),
  sparsity: number(0, 1),
  rank: integer(1),
  minSparsity: number(0, 1),
  maxSparsity: number(0, 1),
  ranks: list(integer(1)),
});

export type Asked = Readonly<ShapeOf<typeof askedShape>>;

/** Without the view's cost function, so that it can be saved. */
export function askedOf(view: DeviceView, choice: Choice, { round }: RoundView): Asked {
  const { minSparsity, maxSparsity, ranks } = view;
  return { round, ...choice, minSparsity, maxSparsity, ranks: [...ranks] };
}

/** Start of a summary: what was chosen. */
export function chosen({ round, sparsity, rank }: Asked): string {
  return `round ${round}: sparsity ${sparsity.toFixed(3)}, rank ${rank}`;
}

/** What the choice was taken from. */
export function feasibleTable(asked: Asked): Explanation["tables"][number] {
  return {
    title: "Feasible set",
    columns: ["of", "chosen", "lowest", "highest"],
    rows: [
      ["sparsity", asked.sparsity, asked.minSparsity, asked.maxSparsity],
      ["rank", asked.rank, asked.ranks[0] ?? asked.rank, asked.ranks.at(-1) ?? asked.rank],
    ],
  };
}
