/**
 * The sample-weighted mean of A and of B, each by itself.
 * Source: McMahan et al. 2017 (FedAvg), applied to LoRA factors as in FedIT (Zhang et al. 2023). The product of the means is
 * not the mean of the products; lora-stack is exact.
 */
import type { LoraModule } from "../../base/adapter.ts";
import { RoundError } from "../../base/errors.ts";
import type { Aggregator } from "./aggregator.ts";
import { mergeHeads, weightedMean } from "./heads.ts";
import { rankOf, weighUpdates } from "./update-check.ts";

/** Needs unpruned updates of the wanted rank and scale; throws RoundError otherwise. */
export const fedAvg: Aggregator = {
  name: "fed-avg",
  aggregate(updates, { rank, scale }) {
    const terms = weighUpdates(updates);
    const layers = terms.map(
      ({ update }) => new Map(update.modules.map((module) => [module.name, module])),
    );
    const names = [...(layers[0]?.keys() ?? [])].sort();
    const modules = names.map((name): LoraModule => {
      const parts = terms.map(({ update, weight }, i) => {
        const module = layers[i]?.get(name) as LoraModule;
        expectPlain(update.deviceId, module, rank, scale);
        return { module, weight };
      });
      return {
        name,
        a: weightedMean(parts.map(({ module, weight }) => ({ array: module.a, weight }))),
        b: weightedMean(parts.map(({ module, weight }) => ({ array: module.b, weight }))),
        scale,
      };
    });
    return { state: { modules, heads: mergeHeads(terms) }, discardedEnergy: 0 };
  },
};

function expectPlain(deviceId: string, module: LoraModule, rank: number, scale: number): void {
  const hint = "lora-stack merges adapters of different ranks, scales and structures";
  if (rankOf(module) !== rank || module.scale !== scale) {
    throw new RoundError(`fed-avg: ${module.name} of ${deviceId} does not fit`, {
      expected: `rank ${rank} and scale ${scale}`,
      got: `rank ${rankOf(module)} and scale ${module.scale}`,
      hint,
    });
  }
  if (module.rows !== undefined || module.cols !== undefined) {
    throw new RoundError(`fed-avg: ${module.name} of ${deviceId} is pruned`, { hint });
  }
}
