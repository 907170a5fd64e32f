/** What a choice of sparsity and rank costs before a device has ranked its units. */
import type { BaseDtype } from "../base/base-dtype.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { fullStructure, type Structure, type UnitKind } from "../base/structure.ts";
import type { TargetPattern } from "../base/target-pattern.ts";
import { stepFlops, type StepFlops } from "./flops.ts";
import { trainingMemory, type TrainingMemory } from "./memory.ts";
import { bodyParameters, bodySparsity, unitParameters } from "./parameters.ts";
import { adapterFileBytes } from "./traffic.ts";

/**
 * A structure of about that body sparsity, with heads and channels of all layers shrunk alike and at least one of
 * each left. It errs by at most half a head where that floor allows; a higher sparsity keeps a subset of the units.
 */
export function uniformStructure(shape: ModelShape, sparsity: number): Structure {
  const wanted = sparsity * bodyParameters(shape, fullStructure(shape.units));
  const size = { heads: unitParameters(shape, "heads"), ffn: unitParameters(shape, "ffn") };
  const gone = (removed: Removed): number => removed.heads * size.heads + removed.ffn * size.ffn;
  // Channels are the finest grain: the number of them that leave parametrises all structures.
  const most = removable(shape, "ffn");
  const at = (channels: number): Removed => ({
    heads: Math.round((channels / Math.max(1, most)) * removable(shape, "heads")),
    ffn: channels,
  });
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (gone(at(middle)) < wanted) low = middle + 1;
    else high = middle;
  }
  const below = at(Math.max(0, low - 1));
  const isBelowNearer = wanted - gone(below) < gone(at(low)) - wanted;
  return structureWithout(shape, isBelowNearer ? below : at(low));
}

type Removed = Readonly<Record<UnitKind, number>>;

function removable({ units }: ModelShape, kind: UnitKind): number {
  return units.layers * (units[kind] - 1);
}

/** The last units leave first, layer by layer in turn. */
function structureWithout({ units }: ModelShape, removed: Removed): Structure {
  // Layers keep one of two counts: each list is made once and shared.
  const firsts = new Map<number, readonly number[]>();
  const first = (count: number): readonly number[] => {
    const known = firsts.get(count);
    if (known !== undefined) return known;
    const made = Array.from({ length: count }, (_, id) => id);
    firsts.set(count, made);
    return made;
  };
  const kept = (kind: UnitKind, layer: number): readonly number[] =>
    first(units[kind] - Math.floor((removed[kind] + units.layers - 1 - layer) / units.layers));
  return {
    layers: Array.from({ length: units.layers }, (_, layer) => ({
      heads: kept("heads", layer),
      ffn: kept("ffn", layer),
    })),
  };
}

/** A round's work on one device, by its structure or by the sparsity that it is to have. */
export interface CostQuery {
  readonly structure: Structure | { readonly sparsity: number };
  readonly rank: number;
  readonly targets: TargetPattern;
  readonly batchSize: number;
  readonly numTokens: number;
  readonly trainHead: boolean;
  readonly dropout: number;
  /** Whether blocks run again in the backward pass instead of keeping what they computed; by default not. */
  readonly recompute?: boolean;
  /** How weights that are not trained are held; float32 by default. */
  readonly baseDtype?: BaseDtype;
  /** Whether the device scores its units and sends the scores with its updates. */
  readonly scoresUnits: boolean;
  /** Whether the fleet's mean scores come with the adapter. */
  readonly sendsMeanScores: boolean;
}

export interface Cost {
  readonly sparsity: number;
  readonly flops: StepFlops;
  readonly gflopsPerStep: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly memory: TrainingMemory;
  /** Its peak. */
  readonly memoryBytes: number;
}

/** Everything that the query costs. */
export function costOf(shape: ModelShape, query: CostQuery): Cost {
  const structure =
    "layers" in query.structure
      ? query.structure
      : uniformStructure(shape, query.structure.sparsity);
  const setup = { ...query, structure };
  const flops = stepFlops(shape, setup);
  const memory = trainingMemory(shape, setup);
  const fileBytes = (hasScores: boolean): number =>
    adapterFileBytes(shape, { ...setup, hasScores });
  return {
    sparsity: bodySparsity(shape, structure),
    flops,
    gflopsPerStep: (flops.forward + flops.backward) / 1e9,
    bytesUp: fileBytes(query.scoresUnits),
    bytesDown: fileBytes(query.sendsMeanScores),
    memory,
    memoryBytes: memory.peak,
  };
}
