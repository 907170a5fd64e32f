/** Scores a global adapter as the fleet would: in parallel on the workers, on whole or on the devices' pruned models. */
import type { AdapterState } from "../base/adapter.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { encodeStructure, type Structure } from "../base/structure.ts";
import type { Evaluate } from "../coordinator/global-model.ts";
import { meanAndWorst } from "../coordinator/mean-and-worst.ts";
import type { Evaluation, Score } from "../coordinator/run-events.ts";
import { encodeAdapterFile } from "../io/adapter-file.ts";
import { narrow } from "../strategies/aggregation/narrow.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import type { JobRunner } from "./worker-pool.ts";

export type DeviceScore = Score & { readonly device: string };

export interface FleetScorerOptions {
  readonly pool: JobRunner;
  readonly shape: ModelShape;
  readonly maxTokens: number;
}

export class FleetScorer {
  readonly #options: FleetScorerOptions;
  /** Of the adapter scored last, by structure: devices that are pruned alike score alike. */
  readonly #known = new Map<string, Promise<Score>>();

  constructor(options: FleetScorerOptions) {
    this.#options = options;
  }

  /** For a coordinator; takes no virtual time. */
  evaluation(clock: VirtualClock): Evaluate {
    return (adapter, structures) => clock.hold(this.#evaluate(adapter, structures));
  }

  /** The adapter on each device's model. It has to be the one that was evaluated last. */
  scoreEach(
    adapter: AdapterState,
    structures: ReadonlyMap<string, Structure>,
  ): Promise<DeviceScore[]> {
    const { shape } = this.#options;
    const scores = [...structures].map(async ([device, structure]): Promise<DeviceScore> => {
      const key = encodeStructure(structure, shape.units);
      const pruned = { shape, structure };
      const score = this.#known.get(key) ?? this.#score(narrow(adapter, { pruned }), structure);
      this.#known.set(key, score);
      return { device, ...(await score) };
    });
    return Promise.all(scores);
  }

  async #evaluate(
    adapter: AdapterState | null,
    structures: ReadonlyMap<string, Structure>,
  ): Promise<Evaluation> {
    this.#known.clear();
    if (adapter === null || structures.size === 0) return this.#score(adapter, null);
    return meanAndWorst(await this.scoreEach(adapter, structures));
  }

  #score(adapter: AdapterState | null, structure: Structure | null): Promise<Score> {
    const { pool, maxTokens } = this.#options;
    const bytes = adapter === null ? null : encodeAdapterFile(adapter);
    return pool.run({ kind: "score", adapter: bytes, structure, maxTokens });
  }
}
