/** Finds what makes an adapter unusable, for whoever receives one and for every aggregator before it starts. */
import type { AdapterState, LoraModule, Owned } from "../../base/adapter.ts";
import { type HostArray, shapeText, sizeOf } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import type { AdapterUpdate } from "./aggregator.ts";

export type UpdateDefect = "not-finite" | "wrong-shape" | "wrong-layers" | "bad-weight";

export interface Defect {
  readonly reason: UpdateDefect;
  /** What is wrong and where, for a log line. */
  readonly text: string;
}

/** The first thing wrong with the adapter by itself, or null. */
export function defectOf(state: AdapterState): Defect | null {
  const names = new Set<string>();
  for (const module of state.modules) {
    if (names.has(module.name)) return wrong("wrong-layers", `${module.name} is there twice`);
    names.add(module.name);
    const defect = moduleDefect(module);
    if (defect !== null) return defect;
  }
  for (const [name, head] of state.heads) {
    const defect = arrayDefect(name, head);
    if (defect !== null) return defect;
  }
  return null;
}

/** The first way in which `state` is not an adapter of the same model as `like`, or null; ranks may differ. */
export function mismatchOf(state: AdapterState, like: AdapterState): Defect | null {
  const layers = new Map(like.modules.map((module) => [module.name, module]));
  if (
    state.modules.length !== layers.size ||
    !state.modules.every(({ name }) => layers.has(name))
  ) {
    return wrong(
      "wrong-layers",
      `${state.modules.length} adapted layers, not the same as the ${layers.size} expected`,
    );
  }
  for (const module of state.modules) {
    const other = layers.get(module.name) as LoraModule;
    const got = [fullOut(module), fullIn(module)];
    const expected = [fullOut(other), fullIn(other)];
    if (shapeText(got) !== shapeText(expected)) {
      return wrong(
        "wrong-shape",
        `${module.name} is ${shapeText(got)}, not ${shapeText(expected)}`,
      );
    }
  }
  if (state.heads.size !== like.heads.size) {
    return wrong("wrong-layers", `${state.heads.size} head tensors, not ${like.heads.size}`);
  }
  for (const [name, head] of like.heads) {
    const got = state.heads.get(name);
    if (got === undefined) return wrong("wrong-layers", `the head tensor ${name} is missing`);
    if (shapeText(got.shape) !== shapeText(head.shape)) {
      return wrong(
        "wrong-shape",
        `${name} is ${shapeText(got.shape)}, not ${shapeText(head.shape)}`,
      );
    }
  }
  return null;
}

/**
 * The updates sorted by device id and their weights n_i d_i / sum n d, which sum to one; d_i is the discount for staleness.
 * Throws RoundError when there is none, one is damaged, or they are not of the same model.
 */
export function weighUpdates(
  updates: readonly AdapterUpdate[],
): { update: AdapterUpdate; weight: number }[] {
  const sorted = [...updates].sort((x, y) =>
    x.deviceId < y.deviceId ? -1 : x.deviceId > y.deviceId ? 1 : 0,
  );
  const first = sorted[0];
  if (first === undefined) throw new RoundError("aggregate: there is no update to merge");
  for (const [i, update] of sorted.entries()) {
    const defect = weightDefect(update) ?? defectOf(update) ?? mismatchOf(update, first);
    if (defect !== null) {
      throw new RoundError(`aggregate: the update of ${update.deviceId} cannot be used`, {
        got: defect.text,
      });
    }
    if (i > 0 && sorted[i - 1]?.deviceId === update.deviceId) {
      throw new RoundError(`aggregate: two updates of ${update.deviceId}`, {
        expected: "one update per device",
      });
    }
  }
  const sizes = sorted.map(({ numSamples, discount = 1 }) => numSamples * discount);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return sorted.map((update, i) => ({ update, weight: (sizes[i] as number) / total }));
}

/** Outputs of the unpruned layer. */
export function fullOut(module: LoraModule): number {
  return module.rows?.of ?? module.b.shape[0] ?? 0;
}

/** Inputs of the unpruned layer. */
export function fullIn(module: LoraModule): number {
  return module.cols?.of ?? module.a.shape[1] ?? 0;
}

export function rankOf(module: LoraModule): number {
  return module.a.shape[0] ?? 0;
}

function weightDefect({ numSamples, discount = 1 }: AdapterUpdate): Defect | null {
  if (!Number.isSafeInteger(numSamples) || numSamples <= 0)
    return wrong("bad-weight", `${numSamples} samples, not a positive whole number`);
  if (discount > 0 && discount <= 1) return null;
  return wrong("bad-weight", `a discount of ${discount}, not in (0, 1]`);
}

function moduleDefect(module: LoraModule): Defect | null {
  const { name, a, b, scale, rows, cols } = module;
  const defect = arrayDefect(`${name} A`, a) ?? arrayDefect(`${name} B`, b);
  if (defect !== null) return defect;
  if (
    a.shape.length !== 2 ||
    b.shape.length !== 2 ||
    a.shape[0] !== b.shape[1] ||
    a.data.length === 0 ||
    b.data.length === 0
  ) {
    return wrong("wrong-shape", `${name} has A ${shapeText(a.shape)} and B ${shapeText(b.shape)}`);
  }
  if (!Number.isFinite(scale) || scale <= 0)
    return wrong("not-finite", `${name} has scale ${scale}`);
  return (
    ownedDefect(`${name} rows`, rows, b.shape[0]) ??
    ownedDefect(`${name} columns`, cols, a.shape[1])
  );
}

function arrayDefect(name: string, { shape, data }: HostArray): Defect | null {
  if (data.length !== sizeOf(shape))
    return wrong("wrong-shape", `${name} ${shapeText(shape)} has ${data.length} values`);
  // A loop, because a call per value takes longer than merging the values.
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    if (!Number.isFinite(value)) return wrong("not-finite", `${name} holds ${value} at ${i}`);
  }
  return null;
}

function ownedDefect(
  name: string,
  owned: Owned | undefined,
  size: number | undefined,
): Defect | null {
  if (owned === undefined) return null;
  const { indices, of } = owned;
  const ascending = indices.every(
    (index, i) =>
      Number.isInteger(index) && index < of && index > (i === 0 ? -1 : (indices[i - 1] as number)),
  );
  if (indices.length === size && ascending) return null;
  return wrong("wrong-shape", `${name}: ${indices.length} indices into ${of} for ${size} values`);
}

function wrong(reason: UpdateDefect, text: string): Defect {
  return { reason, text };
}
