/** What a device may be given in a round: the schedule's corridor and what its memory holds, with the cost of each choice. */
import type { BaseDtype } from "../base/base-dtype.ts";
import { ConfigError } from "../base/errors.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { type Structure, fullStructure } from "../base/structure.ts";
import { type Cost, costOf } from "../cost/approximate.ts";
import { bodySparsity } from "../cost/parameters.ts";
import type { Choice, ChoiceCost, DeviceView } from "../strategies/controllers/controller.ts";
import { corridor } from "../strategies/pruning-schedule.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { FleetKnowledge } from "./fleet-knowledge.ts";
import type { Profile } from "./roster.ts";
import { ranksOf } from "./strategy-config.ts";

export interface LimitsOptions {
  readonly config: CoordinatorConfig;
  readonly shape: ModelShape;
  readonly knowledge: FleetKnowledge;
  readonly profileOf: (device: string) => Profile | undefined;
}

/** What a device may be given, with the schedule's reference ramp, or what keeps it out. */
export type Limits =
  | { readonly kind: "fits"; readonly view: DeviceView; readonly reference: number }
  | { readonly kind: "too-small"; readonly neededBytes: number; readonly availableBytes: number };

export class DeviceLimits {
  readonly #options: LimitsOptions;
  readonly #ranks: readonly number[];
  readonly #costs = new Map<string, ChoiceCost>();
  readonly #leastBytes = new Map<string, number>();

  /** Throws ConfigError when the schedule ends beyond what pruning may remove. */
  constructor(options: LimitsOptions) {
    this.#options = options;
    this.#ranks = ranksOf(options.config);
    const { pruning } = options.config;
    const most = this.#mostSparsity();
    if (pruning === null || pruning.final <= most) return;
    throw new ConfigError("coordinator settings: pruning.final cannot be reached", {
      expected: `at most ${most.toFixed(3)} of the body with minFfnShare ${pruning.minFfnShare}`,
      got: String(pruning.final),
    });
  }

  of(device: string, round: number): Limits {
    const { profileOf, config } = this.#options;
    const { type = "", cores = 1, memoryBytes = 0, tensorBytes } = profileOf(device) ?? {};
    const baseDtype = this.#dtypeOf(device);
    // What a device has found itself counts more than what is kept free in general.
    const availableBytes = tensorBytes ?? Math.max(0, memoryBytes - config.memoryReserveBytes);
    // A device recomputes where that alone makes a plan fit.
    const fits = (sparsity: number, rank: number): boolean =>
      this.#leastBytesOf({ sparsity, rank }, baseDtype) <= availableBytes;
    const { min, max, reference } = this.#corridorOf(device, round);
    const ranks = this.#ranksFor(device);
    const [smallest = 1] = ranks;
    const least = leastOf(min, this.#mostSparsity(), (sparsity) => fits(sparsity, smallest));
    if (least === null) {
      const mostPruned = { sparsity: Math.max(min, this.#mostSparsity()), rank: smallest };
      const neededBytes = this.#leastBytesOf(mostPruned, baseDtype);
      return { kind: "too-small", neededBytes, availableBytes };
    }
    const view: DeviceView = {
      id: device,
      type,
      cores,
      sparsity: this.reachedOf(device),
      minSparsity: least,
      // Memory is a hard limit, the schedule is not.
      maxSparsity: Math.max(least, max),
      ranks: ranks.filter((rank) => fits(least, rank)),
      cost: (choice) => this.costOf(device, choice),
    };
    return { kind: "fits", view, reference };
  }

  /** Sparsity that the device's last update had. */
  reachedOf(device: string): number {
    return this.#options.knowledge.modelOf(device)?.sparsity ?? 0;
  }

  costOf(device: string, choice: Choice): ChoiceCost {
    return this.#costOf(choice, this.#dtypeOf(device));
  }

  /** The same for all devices that hold the base alike, so that it is counted once for a choice. */
  #costOf({ sparsity, rank }: Choice, baseDtype: BaseDtype): ChoiceCost {
    const steps = Math.round(sparsity * COST_GRID);
    const key = `${steps}/${rank}/${baseDtype}`;
    const known = this.#costs.get(key);
    if (known !== undefined) return known;
    const cost = this.#estimate({ sparsity: steps / COST_GRID }, rank, { baseDtype });
    this.#costs.set(key, cost);
    return cost;
  }

  #dtypeOf(device: string): BaseDtype {
    return this.#options.profileOf(device)?.baseDtype ?? "f32";
  }

  /** Memory with or without recomputation, whatever is less, counted once for a choice. */
  #leastBytesOf({ sparsity, rank }: Choice, baseDtype: BaseDtype): number {
    const steps = Math.round(sparsity * COST_GRID);
    const key = `${steps}/${rank}/${baseDtype}`;
    const known = this.#leastBytes.get(key);
    if (known !== undefined) return known;
    const structure = { sparsity: steps / COST_GRID };
    const recomputed = this.#estimate(structure, rank, { baseDtype, recompute: true });
    // Of a single layer nothing is saved: it is there twice.
    const least = Math.min(
      recomputed.memoryBytes,
      this.#costOf({ sparsity, rank }, baseDtype).memoryBytes,
    );
    this.#leastBytes.set(key, least);
    return least;
  }

  /** Cost of a structure on a device. */
  estimate(device: string, structure: Structure, rank: number): Cost {
    return this.#estimate(structure, rank, { baseDtype: this.#dtypeOf(device) });
  }

  /** Cost of a structure, or of one of about that sparsity; with the blocks recomputed where the plan or the caller says so. */
  #estimate(
    structure: Structure | { readonly sparsity: number },
    rank: number,
    options: { baseDtype: BaseDtype; recompute?: boolean },
  ): Cost {
    const { config, shape } = this.#options;
    const { targets, batchSize, maxTokens, trainHead, dropout } = config.plan;
    const { baseDtype, recompute = config.plan.recompute } = options;
    return costOf(shape, {
      structure,
      rank,
      targets,
      batchSize,
      numTokens: Math.min(maxTokens, shape.maxPositions),
      trainHead,
      dropout,
      recompute,
      baseDtype,
      scoresUnits: config.pruning !== null,
      sendsMeanScores: (config.pruning?.blend ?? 0) > 0,
    });
  }

  #corridorOf(device: string, round: number): { min: number; max: number; reference: number } {
    const { pruning, rounds } = this.#options.config;
    if (pruning === null) return { min: 0, max: 0, reference: 0 };
    // Who may take units back is bound by the ramp alone, not by what is gone already.
    return pruning.isReversible
      ? corridor({ ...pruning, maxStep: 1 }, round, rounds, 0)
      : corridor(pruning, round, rounds, this.reachedOf(device));
  }

  /** Self-pruning is one-way: a device that has lowered its rank is never asked for more. */
  #ranksFor(device: string): readonly number[] {
    const { knowledge, config } = this.#options;
    const last = knowledge.modelOf(device)?.rank;
    if (config.selfPruning === null || last === undefined) return this.#ranks;
    const lower = this.#ranks.filter((rank) => rank < last);
    return [...lower, last];
  }

  /** The sparsity that the floors of pruning leave room for. */
  #mostSparsity(): number {
    const { shape, config } = this.#options;
    if (config.pruning === null) return 0;
    const { units } = shape;
    const numChannels = Math.max(1, Math.ceil(config.pruning.minFfnShare * units.ffn));
    const { layers } = fullStructure({ layers: units.layers, heads: 1, ffn: numChannels });
    return bodySparsity(shape, { layers });
  }
}

/** Costs are counted for sparsities that are multiples of this part. */
const COST_GRID = 500;

/** The lowest sparsity from `from` up to `most` at which it fits, to a grid step; null when there is none. */
function leastOf(from: number, most: number, fits: (sparsity: number) => boolean): number | null {
  if (fits(from)) return from;
  if (most <= from || !fits(most)) return null;
  let [low, high] = [from, most];
  while (high - low > 1 / COST_GRID) {
    const middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}
