/** What a run leaves for use: its adapter as a PEFT folder, and what each device's model was pruned to. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { decodeStructure } from "../base/structure.ts";
import type { CoordinatorConfig } from "../coordinator/config.ts";
import { RunFolder, type Checkpoint } from "../coordinator/run-folder.ts";
import { writeJson } from "../io/json.ts";
import { loadModel } from "../models/load.ts";
import { Engine } from "../tensor/engine.ts";
import { saveAdapter } from "./adapter-folder.ts";
import { attachState } from "../train/attach-state.ts";

export interface ExportedRun {
  readonly adapter: string;
  /** Folder with `<device>.json` for --structure; null where nothing was pruned. */
  readonly structures: string | null;
}

/** Writes both into the run folder. null before there is a checkpoint. */
export function exportRun(config: CoordinatorConfig): ExportedRun | null {
  const checkpoint = new RunFolder(config.runFolder).load();
  if (checkpoint === undefined) return null;
  const model = loadModel(Engine.create(), config.base, {
    task: "classify",
    labels: config.labels,
  });
  const adapted = attachState(model, checkpoint.adapter);
  const { targets, dropout } = config.plan;
  const { rank, scale } = checkpoint;
  const adapter = join(config.runFolder, "adapter");
  const names = targets === "all-linear" ? adapted.lora.moduleNames() : targets;
  const shape = { rank, alpha: rank * scale, targets: names, dropout };
  saveAdapter(adapter, model, shape, adapted.export(), config.base);
  const structures = config.pruning === null ? null : join(config.runFolder, "structures");
  if (structures !== null) writeStructures(structures, checkpoint, model.shape.units);
  return { adapter, structures };
}

function writeStructures(
  folder: string,
  { fleet }: Checkpoint,
  units: Parameters<typeof decodeStructure>[1],
): void {
  mkdirSync(folder, { recursive: true });
  for (const [device, { structure }] of Object.entries(fleet.devices)) {
    const { layers } = decodeStructure(structure, units, `checkpoint, ${device}`);
    writeJson(join(folder, `${device}.json`), { layers });
  }
}
