/** Scores a global adapter as the fleet would: in parallel on the workers, on whole or on the devices' pruned models. */
import type { AdapterState } from "../base/adapter.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { encodeStructure, type Structure } from "../base/structure.ts";
import type { Evaluate } from "../coordinator/global-model.ts";
import type { Evaluation, Score } from "../coordinator/run-events.ts";
import { encodeAdapterFile } from "../io/adapter-file.ts";
import { narrow } from "../strategies/aggregation/narrow.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import type { JobRunner } from "./worker-pool.ts";

export interface FleetScoresOptions {
  readonly clock: VirtualClock;
  readonly pool: JobRunner;
  readonly shape: ModelShape;
  readonly maxTokens: number;
}

/** Scoring takes no simulated time. */
export function fleetScores({ clock, pool, shape, maxTokens }: FleetScoresOptions): Evaluate {
  const score = (adapter: AdapterState | null, structure: Structure | null): Promise<Score> => {
    const bytes = adapter === null ? null : encodeAdapterFile(adapter);
    return pool.run({ kind: "score", adapter: bytes, structure, maxTokens });
  };
  const scoreAll = async (
    adapter: AdapterState,
    structures: ReadonlyMap<string, Structure>,
  ): Promise<Evaluation> => {
    const byStructure = new Map<string, Promise<Score>>();
    const scores = [...structures].map(async ([device, structure]) => {
      const key = encodeStructure(structure, shape.units);
      const pruned = { shape, structure };
      const result = byStructure.get(key) ?? score(narrow(adapter, { pruned }), structure);
      byStructure.set(key, result);
      return { device, ...(await result) };
    });
    return meanAndWorst(await Promise.all(scores));
  };
  return (adapter, structures) =>
    clock.hold(
      adapter === null || structures.size === 0
        ? score(adapter, null)
        : scoreAll(adapter, structures),
    );
}

/** Means over the devices, and the device with the lowest accuracy. */
function meanAndWorst(scores: readonly (Score & { readonly device: string })[]): Evaluation {
  const mean = (key: keyof Score): number =>
    scores.reduce((sum, score) => sum + score[key], 0) / scores.length;
  const worst = scores.reduce((low, each) => (each.accuracy < low.accuracy ? each : low));
  return {
    accuracy: mean("accuracy"),
    loss: mean("loss"),
    macroF1: mean("macroF1"),
    numDevices: scores.length,
    worst,
  };
}
