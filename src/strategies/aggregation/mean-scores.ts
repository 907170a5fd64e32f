/** What the fleet thinks of each prunable unit: the mean of the devices' importance scores, by original id. */
import { type NamedArrays, hostArray } from "../../base/arrays.ts";
import {
  type Structure,
  type UnitCounts,
  type UnitKind,
  scoreTensors,
  unitKinds,
} from "../../base/structure.ts";

/** One device's scores: both tensors of `scoreTensors`, [L, units] each, finite and not negative. */
export interface ScoredStructure {
  readonly deviceId: string;
  /** The units that the device has; what the tensors say of others does not count. */
  readonly structure: Structure;
  readonly scores: NamedArrays;
}

/**
 * Per unit the mean over the devices that have it; a unit that none of them has keeps the score of `before`, or 0. Each device's scores
 * are first divided by their 2-norm over all its units, heads and channels together: the size of gradients differs between devices,
 * while the proportion between the kinds is what their common ranking lives on. The 2-norm hardly notices that the least important
 * units are gone, where a sum or mean would. Devices whose scores are all zero say nothing. The result does not depend on the order.
 */
export function meanScores(
  devices: readonly ScoredStructure[],
  units: UnitCounts,
  before: NamedArrays = new Map(),
): NamedArrays {
  const terms = [...devices]
    .sort((x, y) => (x.deviceId < y.deviceId ? -1 : 1))
    .map(({ structure, scores }) => ({ structure, scores, norm: normOf(structure, scores) }))
    .filter(({ norm }) => norm > 0);
  return new Map(
    unitKinds.map((kind) => {
      const name = scoreTensors[kind];
      const sums = new Float64Array(units.layers * units[kind]);
      const owners = new Uint32Array(sums.length);
      for (const { structure, scores, norm } of terms) {
        const data = scores.get(name)?.data;
        for (const place of placesOf(structure, kind, units[kind])) {
          sums[place] = (sums[place] ?? 0) + (data?.[place] ?? 0) / norm;
          owners[place] = (owners[place] ?? 0) + 1;
        }
      }
      const old = before.get(name)?.data;
      const mean = Float32Array.from(sums, (sum, place) => {
        const count = owners[place] ?? 0;
        return count > 0 ? sum / count : (old?.[place] ?? 0);
      });
      return [name, hostArray([units.layers, units[kind]], mean)] as const;
    }),
  );
}

function normOf(structure: Structure, scores: NamedArrays): number {
  let sum = 0;
  for (const kind of unitKinds) {
    const { shape = [], data } = scores.get(scoreTensors[kind]) ?? {};
    for (const place of placesOf(structure, kind, shape[1] ?? 0)) sum += (data?.[place] ?? 0) ** 2;
  }
  return Math.sqrt(sum);
}

/** Where the structure's units stand in an array [L, width]. */
function placesOf({ layers }: Structure, kind: UnitKind, width: number): number[] {
  return layers.flatMap((layer, i) => layer[kind].map((id) => i * width + id));
}
