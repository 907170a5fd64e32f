/** What the coordinator knows of its devices' models from their updates, over rounds and restarts. */
import * as v from "valibot";
import type { NamedArrays } from "../base/arrays.ts";
import type { ModelShape } from "../base/model-shape.ts";
import {
  type Structure,
  decodeStructure,
  encodeStructure,
  fullStructure,
} from "../base/structure.ts";
import { bodySparsity } from "../cost/parameters.ts";
import { meanScores } from "../strategies/aggregation/mean-scores.ts";

export const knowledgeSchema = v.record(
  v.string(),
  v.object({
    /** As `encodeStructure` writes it. */
    structure: v.string(),
    /** LoRA rank of the last update. */
    rank: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
);

/** By device; what the checkpoint keeps. */
export type KnowledgeRecord = v.InferOutput<typeof knowledgeSchema>;

/** One device's model as its last update showed it. */
export interface DeviceModel {
  readonly structure: Structure;
  /** Of the body. */
  readonly sparsity: number;
  readonly rank: number;
}

export class FleetKnowledge {
  readonly #shape: ModelShape;
  readonly #models = new Map<string, DeviceModel>();
  #meanScores: NamedArrays;

  /** Throws ConfigError when a saved structure does not fit the model. */
  constructor(shape: ModelShape, saved: KnowledgeRecord, meanScores: NamedArrays) {
    this.#shape = shape;
    this.#meanScores = meanScores;
    for (const [device, { structure: text, rank }] of Object.entries(saved)) {
      this.#learn(device, decodeStructure(text, shape.units, `checkpoint, ${device}`), rank);
    }
  }

  /** undefined for a device whose update never counted. */
  modelOf(device: string): DeviceModel | undefined {
    return this.#models.get(device);
  }

  /** The whole model for a device that is not known. */
  structureOf(device: string): Structure {
    return this.#models.get(device)?.structure ?? fullStructure(this.#shape.units);
  }

  /** Of every known device. */
  get models(): ReadonlyMap<string, DeviceModel> {
    return this.#models;
  }

  /** `scores.heads` and `scores.ffn`, [L, units]; empty before the first ones have come. */
  get meanScores(): NamedArrays {
    return this.#meanScores;
  }

  /** Takes in the updates of a round, sorted by device. */
  absorb(
    updates: readonly {
      readonly deviceId: string;
      readonly structure: Structure;
      readonly rank: number;
      readonly scores: NamedArrays;
    }[],
  ): void {
    for (const { deviceId, structure, rank } of updates) this.#learn(deviceId, structure, rank);
    const scored = updates.filter(({ scores }) => scores.size > 0);
    if (scored.length > 0)
      this.#meanScores = meanScores(scored, this.#shape.units, this.#meanScores);
  }

  export(): KnowledgeRecord {
    const { units } = this.#shape;
    return Object.fromEntries(
      [...this.#models]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([device, { structure, rank }]) => [
          device,
          { structure: encodeStructure(structure, units), rank },
        ]),
    );
  }

  #learn(device: string, structure: Structure, rank: number): void {
    const sparsity = bodySparsity(this.#shape, structure);
    this.#models.set(device, { structure, sparsity, rank });
  }
}
