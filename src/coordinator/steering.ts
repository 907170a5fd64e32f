/** Decides for every round which devices can take part and what each of them gets, and lets the controller learn from the outcome. */
import { Rng } from "../base/rng.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { type Structure, fullStructure } from "../base/structure.ts";
import { type Cost, costOf } from "../cost/approximate.ts";
import { bodySparsity } from "../cost/parameters.ts";
import type {
  Choice,
  ChoiceCost,
  Controller,
  DeviceView,
  Outcome,
  RoundView,
} from "../strategies/controllers/controller.ts";
import { corridor } from "../strategies/pruning-schedule.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { Cut } from "./downlink.ts";
import type { FleetKnowledge } from "./fleet-knowledge.ts";
import type { Profile } from "./roster.ts";
import { type ReceivedUpdate, completionMs } from "./round-results.ts";
import type { RunEvent } from "./run-events.ts";
import type { FleetRecord } from "./run-folder.ts";
import { aggregatorOf, ranksOf } from "./strategy-config.ts";
import type { HeldUpdate } from "./update-inbox.ts";
import type { Expectation } from "./update-layout.ts";

export interface SteeringOptions {
  readonly config: CoordinatorConfig;
  readonly shape: ModelShape;
  readonly controller: Controller;
  readonly knowledge: FleetKnowledge;
  readonly profileOf: (device: string) => Profile | undefined;
  readonly tell: (event: RunEvent) => void;
}

interface Decision {
  readonly choice: Choice;
  /** Sparsity before the round. */
  readonly reached: number;
}

export interface Decisions {
  readonly choices: Readonly<Record<string, Choice>>;
  /** "controller-decided" for each device that is new in the round. */
  readonly events: readonly RunEvent[];
}

/** What a device may be given, or what keeps it out. */
type Limits =
  | { readonly kind: "fits"; readonly view: DeviceView; readonly reference: number }
  | { readonly kind: "too-small"; readonly neededBytes: number; readonly availableBytes: number };

export class Steering {
  readonly #options: SteeringOptions;
  readonly #ranks: readonly number[];
  readonly #costs = new Map<string, ChoiceCost>();
  readonly #decisions = new Map<string, Decision>();
  readonly #excluded = new Set<string>();
  #round = 0;

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#ranks = ranksOf(options.config);
  }

  /** Those of the devices that have room for some model; tells when a device begins to be left out. */
  feasible(devices: readonly string[], round: number): string[] {
    return devices.filter((device) => {
      const limits = this.#limitsOf(device, round);
      if (limits.kind === "fits") {
        this.#excluded.delete(device);
        return true;
      }
      const isNews = !this.#excluded.has(device);
      this.#excluded.add(device);
      const { neededBytes, availableBytes } = limits;
      if (isNews) {
        const { tell } = this.#options;
        tell({ kind: "device-excluded", round, device, neededBytes, availableBytes });
      }
      return false;
    });
  }

  /**
   * What these feasible devices get, and the events that say why; one that was decided on in an earlier attempt of the round keeps
   * its choice.
   */
  decide(round: number, attempt: number, devices: readonly string[]): Decisions {
    if (round !== this.#round) this.#decisions.clear();
    this.#round = round;
    const { controller, config } = this.#options;
    const limits = devices
      .filter((device) => !this.#decisions.has(device))
      .map((device) => this.#limitsOf(device, round))
      .filter((each) => each.kind === "fits");
    const events: RunEvent[] = [];
    if (limits.length > 0) {
      const views = limits.map(({ view }) => view);
      const rng = Rng.fromSeed(`${config.seed}/choose/${round}/${attempt}`);
      const chosen = controller.propose(views, this.#roundView(round), rng);
      for (const { view, reference } of limits) {
        const choice = chosen.get(view.id) ?? this.#cheapest(view);
        this.#decisions.set(view.id, { choice, reached: view.sparsity });
        events.push(this.#decided(round, view, reference, choice));
      }
    }
    const choices = Object.fromEntries(devices.map((device) => [device, this.choiceOf(device)]));
    return { choices, events };
  }

  /** The choice of this round; what costs least for a device that nothing was decided for. */
  choiceOf(device: string): Choice {
    const decision = this.#decisions.get(device);
    if (decision !== undefined) return decision.choice;
    return { sparsity: this.#reachedOf(device), rank: this.#ranks[0] ?? 1 };
  }

  /** What the update of a device has to be like in this round. */
  expectationOf(device: string): Expectation {
    const { config, knowledge, shape } = this.#options;
    const { pruning, selfPruning } = config;
    const isBound = pruning !== null && !pruning.isReversible;
    return {
      rank: this.choiceOf(device).rank,
      mayLowerRank: selfPruning !== null,
      within: isBound ? knowledge.structureOf(device) : fullStructure(shape.units),
      mayPrune: pruning !== null,
    };
  }

  /** The cut of the global adapter that a device starts this round from. */
  cutOf(device: string): Cut {
    const { config, knowledge, shape } = this.#options;
    const { pruning } = config;
    const isReset = pruning === null || pruning.isReversible;
    const isWhole = aggregatorOf(config).devicesMerge === true;
    return {
      rank: isWhole ? null : this.choiceOf(device).rank,
      structure: isReset ? fullStructure(shape.units) : knowledge.structureOf(device),
      scores: (pruning?.blend ?? 0) > 0 ? knowledge.meanScores : new Map(),
    };
  }

  /** Ends a round: `received` holds what counts, so all others that were asked have failed or came too late. */
  learn(
    round: number,
    received: ReadonlyMap<string, ReceivedUpdate>,
    updates: readonly HeldUpdate[],
  ): void {
    const outcomes = [...this.#decisions]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([device, decision]) => this.#outcome(device, decision, received.get(device)));
    this.#options.controller.learn(outcomes, this.#roundView(round));
    this.#options.knowledge.absorb(updates);
  }

  /** Everything that a checkpoint has to keep for a resumed run to decide alike. */
  export(): FleetRecord {
    const { controller, knowledge, config } = this.#options;
    return {
      devices: knowledge.export(),
      controller: { kind: config.controller.kind, state: controller.export() },
      meanScores: knowledge.meanScores,
    };
  }

  #outcome(
    device: string,
    { choice, reached }: Decision,
    update: ReceivedUpdate | undefined,
  ): Outcome {
    if (update === undefined) return { device, choice, cost: this.#costOf(choice), result: null };
    const { report, uploadMs, structure, sparsity, rank } = update;
    return {
      device,
      choice,
      cost: this.#estimate(structure, rank),
      result: { ...report, uploadMs, completionMs: completionMs(update), sparsityBefore: reached, sparsity },
    };
  }

  #decided(round: number, view: DeviceView, reference: number, choice: Choice): RunEvent {
    const { gflopsPerStep, memoryBytes } = this.#costOf(choice);
    return {
      kind: "controller-decided",
      round,
      device: view.id,
      ...choice,
      minSparsity: view.minSparsity,
      maxSparsity: view.maxSparsity,
      ranks: view.ranks,
      referenceSparsity: reference,
      reachedSparsity: view.sparsity,
      gflopsPerStep,
      memoryBytes,
      reason: this.#options.controller.explain(view.id)?.summary ?? "",
    };
  }

  #limitsOf(device: string, round: number): Limits {
    const { profileOf, config } = this.#options;
    const { type = "", cores = 1, memoryBytes = 0 } = profileOf(device) ?? {};
    const availableBytes = Math.max(0, memoryBytes - config.memoryReserveBytes);
    const fits = (sparsity: number, rank: number): boolean =>
      this.#costOf({ sparsity, rank }).memoryBytes <= availableBytes;
    const { min, max, reference } = this.#corridorOf(device, round);
    const ranks = this.#ranksFor(device);
    const [smallest = 1] = ranks;
    const least = leastOf(min, this.#mostSparsity(), (sparsity) => fits(sparsity, smallest));
    if (least === null) {
      const mostPruned = { sparsity: Math.max(min, this.#mostSparsity()), rank: smallest };
      const neededBytes = this.#costOf(mostPruned).memoryBytes;
      return { kind: "too-small", neededBytes, availableBytes };
    }
    const view: DeviceView = {
      id: device,
      type,
      cores,
      sparsity: this.#reachedOf(device),
      minSparsity: least,
      // Memory is a hard limit, the schedule is not.
      maxSparsity: Math.max(least, max),
      ranks: ranks.filter((rank) => fits(least, rank)),
      cost: (choice) => this.#costOf(choice),
    };
    return { kind: "fits", view, reference };
  }

  #corridorOf(device: string, round: number): { min: number; max: number; reference: number } {
    const { pruning, rounds } = this.#options.config;
    if (pruning === null) return { min: 0, max: 0, reference: 0 };
    // Who may take units back is bound by the ramp alone, not by what is gone already.
    return pruning.isReversible
      ? corridor({ ...pruning, maxStep: 1 }, round, rounds, 0)
      : corridor(pruning, round, rounds, this.#reachedOf(device));
  }

  #reachedOf(device: string): number {
    return this.#options.knowledge.modelOf(device)?.sparsity ?? 0;
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

  #cheapest({ minSparsity, ranks }: DeviceView): Choice {
    return { sparsity: minSparsity, rank: ranks[0] ?? 1 };
  }

  #roundView(round: number): RoundView {
    const { rounds, plan, pruning } = this.#options.config;
    const referenceSparsity = pruning === null ? 0 : corridor(pruning, round, rounds, 0).reference;
    const finalSparsity = pruning?.final ?? 0;
    return { round, rounds, steps: plan.steps, referenceSparsity, finalSparsity };
  }

  /** The same for all devices, so that it is counted once for a choice. */
  #costOf({ sparsity, rank }: Choice): ChoiceCost {
    const steps = Math.round(sparsity * COST_GRID);
    const key = `${steps}/${rank}`;
    const known = this.#costs.get(key);
    if (known !== undefined) return known;
    const cost = this.#estimate({ sparsity: steps / COST_GRID }, rank);
    this.#costs.set(key, cost);
    return cost;
  }

  #estimate(structure: Structure | { readonly sparsity: number }, rank: number): Cost {
    const { config, shape } = this.#options;
    const { targets, batchSize, maxTokens, trainHead, dropout } = config.plan;
    return costOf(shape, {
      structure,
      rank,
      targets,
      batchSize,
      numTokens: Math.min(maxTokens, shape.maxPositions),
      trainHead,
      dropout,
      scoresUnits: config.pruning !== null,
      sendsMeanScores: (config.pruning?.blend ?? 0) > 0,
    });
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
