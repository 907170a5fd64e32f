/** Deals examples out to devices: evenly, skewed by label, or by who owns them. */
import { ConfigError, DataError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Example } from "./examples.ts";
import { indicesByLabel } from "./split.ts";

export type PartitionPlan =
  | { readonly kind: "iid" }
  | {
      readonly kind: "dirichlet";
      /** Concentration: 0.1 gives almost one label per device, 100 is close to even. */
      readonly alpha: number;
      /** Every device gets at least this many examples. */
      readonly minExamples: number;
    }
  | { readonly kind: "group" };

/** The examples of one device, by index in ascending order. */
export interface Part {
  /** The owning group or groups, for the kind "group"; else the number of the part. */
  readonly name: string;
  readonly indices: readonly number[];
}

/** Deals every example to exactly one of `numParts` parts. Throws ConfigError or DataError. */
export function partition(
  examples: readonly Example[],
  numParts: number,
  plan: PartitionPlan,
  rng: Rng,
): Part[] {
  if (!Number.isInteger(numParts) || numParts < 1) {
    throw new ConfigError("partition", { expected: "at least one part", got: `${numParts}` });
  }
  if (examples.length === 0) throw new DataError("there are no examples to deal out");
  const parts = dealt(examples, numParts, plan, rng);
  return parts.map(({ name, indices }) => ({ name, indices: [...indices].sort((a, b) => a - b) }));
}

/**
 * How far the label mix of the parts is from that of all examples: total variation distance, averaged
 * with the part sizes as weights. 0 for equal mixes, towards 1 for one label per part of many.
 */
export function labelSkew(examples: readonly Example[], parts: readonly Part[]): number {
  const share = labelShares(examples);
  let weighted = 0;
  let numDealt = 0;
  for (const { indices } of parts) {
    const own = labelShares(indices.map((index) => examples[index] as Example));
    let distance = 0;
    for (const [label, p] of share) distance += Math.abs(p - (own.get(label) ?? 0)) / 2;
    weighted += distance * indices.length;
    numDealt += indices.length;
  }
  return numDealt === 0 ? 0 : weighted / numDealt;
}

function dealt(
  examples: readonly Example[],
  numParts: number,
  plan: PartitionPlan,
  rng: Rng,
): Part[] {
  switch (plan.kind) {
    case "iid": {
      const order = rng.shuffle(examples.map((_, index) => index));
      return numbered(cut(order, numParts));
    }
    case "dirichlet":
      return numbered(dealByLabel(examples, numParts, plan.alpha, plan.minExamples, rng));
    case "group":
      return dealByGroup(examples, numParts, rng);
  }
}

/**
 * Splits each label over the parts by one Dirichlet(alpha) draw (Hsu, Qi and Brown 2019,
 * arXiv 1909.06335), then fills parts below `minExamples` from the largest one.
 */
function dealByLabel(
  examples: readonly Example[],
  numParts: number,
  alpha: number,
  minExamples: number,
  rng: Rng,
): number[][] {
  if (!(alpha > 0)) {
    throw new ConfigError("partition by label", { expected: "alpha above 0", got: `${alpha}` });
  }
  if (examples.length < numParts * minExamples) {
    throw new DataError("too few examples to deal out", {
      expected: `${numParts} parts of at least ${minExamples}`,
      got: `${examples.length} examples`,
      hint: "use fewer devices or a smaller minimum",
    });
  }
  const parts: number[][] = Array.from({ length: numParts }, () => []);
  for (const indices of indicesByLabel(examples).values()) {
    rng.shuffle(indices);
    let bound = 0;
    let start = 0;
    rng.dirichlet(alpha, numParts).forEach((share, part) => {
      bound += share;
      // The last bound is exact: the shares sum to one only up to rounding.
      const end = part === numParts - 1 ? indices.length : Math.round(bound * indices.length);
      parts[part]?.push(...indices.slice(start, end));
      start = end;
    });
  }
  for (const part of parts) {
    while (part.length < minExamples) {
      const largest = parts.reduce((a, b) => (b.length > a.length ? b : a));
      part.push(...largest.splice(rng.int(largest.length), 1));
    }
  }
  return parts;
}

/**
 * One part per group where the numbers agree. Fewer parts: the smallest ones share. More parts: each
 * group is cut into even pieces, larger groups into more of them.
 */
function dealByGroup(examples: readonly Example[], numParts: number, rng: Rng): Part[] {
  const byGroup = new Map<string, number[]>();
  examples.forEach(({ group }, index) => {
    if (group === undefined) {
      throw new DataError("cannot deal the examples out by group", {
        expected: "a group for every example",
        got: `none for example ${index + 1}`,
        hint: "name the column with --group-column, or choose another way to deal",
      });
    }
    const indices = byGroup.get(group);
    if (indices === undefined) byGroup.set(group, [index]);
    else indices.push(index);
  });
  const groups = [...byGroup].sort(
    ([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : a > b ? 1 : 0),
  );
  if (numParts < groups.length) {
    const parts = Array.from({ length: numParts }, () => ({
      names: [] as string[],
      indices: [] as number[],
    }));
    for (const [name, indices] of groups) {
      const smallest = parts.reduce((a, b) => (b.indices.length < a.indices.length ? b : a));
      smallest.names.push(name);
      smallest.indices.push(...indices);
    }
    return parts.map(({ names, indices }) => ({ name: names.join("+"), indices }));
  }
  const pieces = new Map(groups.map(([name]) => [name, 1]));
  const pieceSize = ([name, indices]: [string, number[]]): number =>
    indices.length / (pieces.get(name) ?? 1);
  for (let spare = numParts - groups.length; spare > 0; spare--) {
    const [name] = groups.reduce((a, b) => (pieceSize(b) > pieceSize(a) ? b : a));
    pieces.set(name, (pieces.get(name) ?? 1) + 1);
  }
  return groups.flatMap(([name, indices]) => {
    const count = pieces.get(name) ?? 1;
    if (count === 1) return [{ name, indices }];
    return cut(rng.shuffle(indices), count).map((piece, number) => ({
      name: `${name}-${number + 1}`,
      indices: piece,
    }));
  });
}

/** Cuts a list into pieces whose sizes differ by one at most. */
function cut(indices: readonly number[], count: number): number[][] {
  return Array.from({ length: count }, (_, piece) =>
    indices.slice(
      Math.floor((piece * indices.length) / count),
      Math.floor(((piece + 1) * indices.length) / count),
    ),
  );
}

function numbered(parts: readonly number[][]): Part[] {
  return parts.map((indices, index) => ({ name: `${index + 1}`, indices }));
}

function labelShares(examples: readonly Example[]): Map<string, number> {
  const shares = new Map<string, number>();
  for (const { label } of examples) {
    shares.set(label, (shares.get(label) ?? 0) + 1 / examples.length);
  }
  return shares;
}
