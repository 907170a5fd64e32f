/**
 * The sample-weighted mean of B over an A that is the same everywhere and never trained, so that the product of the means is the
 * mean of the products. Ranks are nested: the A of rank r is the first r rows, and a direction is averaged over those who have it.
 * Source: FFA-LoRA (Sun et al., ICLR 2024); nested ranks and owner averaging for pruned structures are ours, after HeteroFL.
 */
import type { LoraModule } from "../../base/adapter.ts";
import type { HostArray } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import type { Aggregator } from "./aggregator.ts";
import { layerWise } from "./layer-wise.ts";
import { factorDefect, ownerMean } from "./owner-mean.ts";
import type { Defect } from "./update-check.ts";

/** Needs updates with one and the same A, of the result's scale and at most its rank; throws RoundError for another A. */
export const ffaLora: Aggregator = layerWise({
  name: "ffa-lora",
  trainsA: false,
  defectIn(update, { rank, scale, previous }) {
    const defect = factorDefect(update, { minRank: 1, rank, scale });
    if (defect !== null || previous === undefined) return defect;
    const starts = new Map(previous.modules.map((module) => [module.name, module]));
    for (const module of update.modules) {
      const start = starts.get(module.name);
      if (start !== undefined && !isPartOf(module, start.a)) return otherA(module);
    }
    return null;
  },
  mergeLayer(terms, start, { rank, scale }) {
    // The mean of equal values is that value, so this also joins the parts that devices of the first round have.
    const module = ownerMean(terms, start, {
      rank,
      scale,
      directions: "nested",
      pruned: "left-out",
    });
    for (const term of terms) {
      if (isPartOf(term.module, module.a)) continue;
      throw new RoundError(`ffa-lora: ${otherA(term.module).text}`, { device: term.deviceId });
    }
    return { module };
  },
});

/** Whether the module's A is the first rows of `whole`, at the columns that the module has. */
function isPartOf({ a, cols }: LoraModule, whole: HostArray): boolean {
  const [numRows = 0, numCols = 0] = a.shape;
  const [height = 0, width = 0] = whole.shape;
  if (numRows > height) return false;
  for (let r = 0; r < numRows; r++) {
    for (let i = 0; i < numCols; i++) {
      const at = r * width + (cols?.indices[i] ?? i);
      if (a.data[r * numCols + i] !== whole.data[at]) return false;
    }
  }
  return true;
}

function otherA({ name }: LoraModule): Defect {
  return { reason: "wrong-shape", text: `${name} has another A than the fleet` };
}
