/** The models that a simulated fleet ends with: every device pruned to the final sparsity, whenever it last took part. */
import { basename } from "node:path";
import { fullStructure, type Structure } from "../base/structure.ts";
import { meanAndWorst } from "../coordinator/mean-and-worst.ts";
import type { Evaluation, Score } from "../coordinator/run-events.ts";
import { RunFolder } from "../coordinator/run-folder.ts";
import { bodySparsity } from "../cost/parameters.ts";
import { decodePruningState } from "../device/training/pruning-state.ts";
import { unpackRecord } from "../device/training/trainer-record.ts";
import { scoresFrom } from "../device/training/starting-point.ts";
import { blendScores, pruneTo } from "../pruning/ranking.ts";
import type { WorldParts } from "./round-world.ts";
import type { SimulationState } from "./simulation-state.ts";

export interface FinalModels extends Required<Evaluation> {
  readonly meanSparsity: number;
  readonly devices: Readonly<Record<string, Score & { readonly sparsity: number }>>;
}

/**
 * Scores the global adapter on them. null without pruning, since all have the whole model then, and without scores to
 * prune by. A device that never took part is pruned by the fleet's mean scores alone.
 */
export async function scoreFinalModels(
  parts: WorldParts,
  state: SimulationState,
): Promise<FinalModels | null> {
  const { config, shape, scorer } = parts;
  const checkpoint = new RunFolder(config.runFolder).load();
  if (config.pruning === null || checkpoint === undefined) return null;
  const structures = finalStructures(parts, state, checkpoint.fleet.meanScores);
  if (structures.size === 0) return null;
  const scores = await scorer.scoreEach(checkpoint.adapter, structures);
  const devices = Object.fromEntries(
    scores.map(({ device, ...score }) => {
      const structure = structures.get(device) ?? fullStructure(shape.units);
      return [device, { ...score, sparsity: bodySparsity(shape, structure) }];
    }),
  );
  const sparsities = Object.values(devices).map(({ sparsity }) => sparsity);
  const meanSparsity = sparsities.reduce((sum, each) => sum + each, 0) / sparsities.length;
  return { ...meanAndWorst(scores), meanSparsity, devices };
}

function finalStructures(
  { config, shape, machines }: WorldParts,
  { devices, identity }: SimulationState,
  meanScores: Parameters<typeof scoresFrom>[0],
): Map<string, Structure> {
  const { pruning } = config;
  const structures = new Map<string, Structure>();
  if (pruning === null) return structures;
  const fleet = scoresFrom(meanScores, shape);
  const key = { run: identity.run, base: basename(config.base), score: pruning.score };
  const { final: sparsity, minFfnShare, blend, isReversible } = pruning;
  for (const { id } of machines) {
    const memory = devices[id]?.memory ?? null;
    const bytes = memory === null ? null : Buffer.from(memory, "base64");
    const kept = decodePruningState(unpackRecord(bytes).pruning, key, shape.units);
    const whole = fullStructure(shape.units);
    const structure = isReversible ? whole : (kept.structure ?? whole);
    const own = kept.keeper.knows(structure) ? kept.keeper.scores() : null;
    const scores =
      own === null || fleet === null
        ? (own ?? fleet)
        : blendScores(own, fleet, blend, { shape, structure });
    if (scores === null) continue;
    structures.set(id, pruneTo({ shape, structure, scores, sparsity, minFfnShare }));
  }
  return structures;
}
