/** What the coordinator knows of its devices' models from their updates, over rounds and restarts. */
import * as v from "valibot";
import { type NamedArrays, hostArray } from "../base/arrays.ts";
import type { ModelShape } from "../base/model-shape.ts";
import {
  type Structure,
  type UnitKind,
  decodeStructure,
  encodeStructure,
  fullStructure,
  unitKinds,
} from "../base/structure.ts";
import { bodySparsity } from "../cost/parameters.ts";
import { scoreTensors } from "../io/adapter-file.ts";

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
    if (scored.length > 0) this.#meanScores = meanScores(scored, this.#meanScores, this.#shape);
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

interface Scored {
  readonly structure: Structure;
  readonly scores: NamedArrays;
}

/**
 * Per unit the mean over the devices that still have it, each device's scores first divided by their mean, so that one with large
 * gradients does not outvote the others. A unit that none of them has keeps its score.
 */
function meanScores(
  devices: readonly Scored[],
  before: NamedArrays,
  { units }: ModelShape,
): NamedArrays {
  const factors = devices.map((device) => inverseMean(device));
  const merged: NamedArrays = new Map();
  for (const kind of unitKinds) {
    const width = units[kind];
    const sums = new Float64Array(units.layers * width);
    const counts = new Uint32Array(sums.length);
    devices.forEach(({ structure, scores }, d) => {
      for (const place of owned(structure, kind, width)) {
        const score = scores.get(scoreTensors[kind])?.data[place] ?? 0;
        sums[place] = (sums[place] ?? 0) + score * (factors[d] ?? 0);
        counts[place] = (counts[place] ?? 0) + 1;
      }
    });
    const old = before.get(scoreTensors[kind])?.data;
    const data = Float32Array.from(sums, (sum, i) => {
      const count = counts[i] ?? 0;
      return count > 0 ? sum / count : (old?.[i] ?? 0);
    });
    merged.set(scoreTensors[kind], hostArray([units.layers, width], data));
  }
  return merged;
}

/** 1 / mean over both kinds; 0 when all scores are 0, so that they say nothing. */
function inverseMean({ structure, scores }: Scored): number {
  let [sum, count] = [0, 0];
  for (const kind of unitKinds) {
    const array = scores.get(scoreTensors[kind]);
    for (const place of owned(structure, kind, array?.shape[1] ?? 0)) {
      sum += array?.data[place] ?? 0;
      count++;
    }
  }
  return sum > 0 ? count / sum : 0;
}

/** Places of a structure's units in an array [L, width]. */
function owned({ layers }: Structure, kind: UnitKind, width: number): number[] {
  return layers.flatMap((layer, i) => layer[kind].map((id) => i * width + id));
}
