/** Training curves that other code computed in float64 from published models: whole, and pruned. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Structure } from "../../src/base/structure.ts";
import type { Sequence } from "../../src/data/batch.ts";
import { missing, sharedData } from "./shared-data.ts";

interface Gradients {
  first_step_gradients: Record<string, { l2: number; first4: number[] }>;
}

export interface Trajectory {
  input_ids: number[][];
  labels: number[] | null;
  dense: Gradients & { losses: number[]; final_last8_logits: number[][] };
  pruned: Gradients & {
    kept_heads: number[][];
    kept_ffn_channels: number[][];
    last8_logits_without_lora: number[][];
    losses: number[];
    final_last8_logits: number[][];
  };
}

const published = [
  { family: "bert", path: "bert-tiny-sst2-encoder/fixture-vocab48" },
  { family: "llama", path: "llama-stories260K" },
] as const;

/** The families with their model folders, the factors that training starts from, and why to skip them. */
export const goldenTrajectories = published.map(({ family, path }) => ({
  family,
  folder: join(sharedData, path),
  init: join(sharedData, "golden", family, "lora_init.safetensors"),
  skip: missing(path, `golden/${family}/trajectory.json`, `golden/${family}/lora_init.safetensors`),
  read: () => readTrajectory(join(sharedData, "golden", family)),
}));

function readTrajectory(
  folder: string,
): Trajectory & { readonly structure: Structure; readonly sequences: readonly Sequence[] } {
  const path = join(folder, "trajectory.json");
  const trajectory = JSON.parse(readFileSync(path, "utf8")) as Trajectory;
  const { kept_heads: heads, kept_ffn_channels: channels } = trajectory.pruned;
  return {
    ...trajectory,
    structure: { layers: heads.map((kept, i) => ({ heads: kept, ffn: channels[i] ?? [] })) },
    sequences: trajectory.input_ids.map((ids, i) => {
      const label = trajectory.labels?.[i];
      return label === undefined ? { ids } : { ids, label };
    }),
  };
}
