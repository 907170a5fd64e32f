/** The part that all aggregators share: checks, sample weights, layers by name, and the mean of the heads. */
import type { AdapterState, LoraModule } from "../../base/adapter.ts";
import type { NamedArrays } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import type { AggregateOptions, Aggregator } from "./aggregator.ts";
import { mergeHeads as weightedHeads } from "./heads.ts";
import { defectOf, mismatchOf, weighUpdates } from "./update-check.ts";

/** One device's factors of one layer. */
export interface Term {
  readonly deviceId: string;
  readonly module: LoraModule;
  /** The device's share of the examples; the weights of a layer's terms sum to one. */
  readonly weight: number;
}

export interface MergedLayer {
  readonly module: LoraModule;
  /** Squared singular values that were cut off, and all of them; absent where nothing is cut. */
  readonly energy?: { readonly discarded: number; readonly total: number };
}

/** A sound update and its share of the samples. */
type Weighed = ReturnType<typeof weighUpdates>[number];

export interface LayerRule extends Omit<Aggregator, "aggregate"> {
  /** Merges one layer; `terms` are sorted by device, `start` is the layer before the round. */
  readonly mergeLayer: (
    terms: readonly Term[],
    start: LoraModule | undefined,
    options: AggregateOptions,
  ) => MergedLayer;
  /** Merges the layers that are trained in full; absent = their weighted mean. */
  readonly mergeHeads?: (terms: readonly Weighed[]) => NamedArrays;
}

/** An aggregator that merges every layer by itself, in the order of names. */
export function layerWise({
  mergeLayer,
  mergeHeads = weightedHeads,
  ...properties
}: LayerRule): Aggregator {
  const { name, defectIn } = properties;
  return {
    ...properties,
    aggregate(updates, options) {
      const { previous } = options;
      const terms = weighUpdates(updates);
      const first = terms[0]?.update as AdapterState;
      const misfit =
        previous === undefined ? null : (defectOf(previous) ?? mismatchOf(previous, first));
      if (misfit !== null)
        throw new RoundError(`${name}: the previous adapter does not fit`, { got: misfit.text });
      const layers = terms.map(({ update, weight }) => {
        const defect = defectIn?.(update, options) ?? null;
        if (defect !== null) {
          throw new RoundError(`${name}: the update of ${update.deviceId} cannot be used`, {
            got: defect.text,
            hint: "lora-stack merges adapters of different ranks, scales and structures",
          });
        }
        const modules = new Map(update.modules.map((module) => [module.name, module]));
        return { deviceId: update.deviceId, weight, modules };
      });
      const starts = new Map(previous?.modules.map((module) => [module.name, module]));
      const names = first.modules.map((module) => module.name).sort();
      const merged = names.map((layer) => {
        const layerTerms = layers.map(({ deviceId, weight, modules }) => ({
          deviceId,
          weight,
          module: modules.get(layer) as LoraModule,
        }));
        return mergeLayer(layerTerms, starts.get(layer), options);
      });
      const discarded = merged.reduce((sum, { energy }) => sum + (energy?.discarded ?? 0), 0);
      const total = merged.reduce((sum, { energy }) => sum + (energy?.total ?? 0), 0);
      return {
        state: { modules: merged.map(({ module }) => module), heads: mergeHeads(terms) },
        discardedEnergy: total === 0 ? 0 : discarded / total,
      };
    },
  };
}
