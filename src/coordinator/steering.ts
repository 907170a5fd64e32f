/** Decides for every round which devices can take part and what each of them gets, and lets the controller learn from the outcome. */
import type { NamedArrays } from "../base/arrays.ts";
import { Rng } from "../base/rng.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { fullStructure } from "../base/structure.ts";
import type {
  Choice,
  Controller,
  DeviceView,
  Outcome,
  RoundView,
} from "../strategies/controllers/controller.ts";
import { corridor } from "../strategies/pruning-schedule.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { DeviceLimits } from "./device-limits.ts";
import type { Cut } from "./downlink.ts";
import type { FleetKnowledge } from "./fleet-knowledge.ts";
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
  readonly limits: DeviceLimits;
}

export interface Decision {
  readonly choice: Choice;
  /** Sparsity before the round. */
  readonly reached: number;
}

export interface Decisions {
  readonly choices: Readonly<Record<string, Choice>>;
  /** "controller-decided" for each device that is new in the round. */
  readonly events: readonly RunEvent[];
}

const NO_SCORES: NamedArrays = new Map();

export class Steering {
  readonly #options: SteeringOptions;
  readonly #limits: DeviceLimits;
  readonly #decisions = new Map<string, Decision>();
  readonly #excluded = new Set<string>();

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#limits = options.limits;
  }

  /** Those of the devices that have room for some model. */
  feasible(devices: readonly string[], round: number): string[] {
    return devices.filter((device) => this.#limits.of(device, round).kind === "fits");
  }

  /** What has to be told of devices that begin to be left out in this round, out of those that are here. */
  exclusions(devices: readonly string[], round: number): RunEvent[] {
    return devices.flatMap((device): RunEvent[] => {
      const limits = this.#limits.of(device, round);
      const wasExcluded = this.#excluded.delete(device);
      if (limits.kind === "fits") return [];
      this.#excluded.add(device);
      if (wasExcluded) return [];
      const { neededBytes, availableBytes } = limits;
      return [{ kind: "device-excluded", round, device, neededBytes, availableBytes }];
    });
  }

  /**
   * What these feasible devices get, and the events that say why; one that was decided on and has not delivered since keeps its
   * choice.
   */
  decide(round: number, attempt: number, devices: readonly string[]): Decisions {
    const { controller, config } = this.#options;
    const limits = devices
      .filter((device) => !this.#decisions.has(device))
      .map((device) => this.#limits.of(device, round))
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

  /** The choice under way; what costs least for a device that nothing was decided for. */
  choiceOf(device: string): Choice {
    const decision = this.#decisions.get(device);
    if (decision !== undefined) return decision.choice;
    return {
      sparsity: this.#limits.reachedOf(device),
      rank: ranksOf(this.#options.config)[0] ?? 1,
    };
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
      scores: (pruning?.blend ?? 0) > 0 ? knowledge.meanScores : NO_SCORES,
    };
  }

  /**
   * Ends a round: `updates` are what counts of `received`. Of the others that were asked those in `pending` are still at it, the rest
   * has failed or came too late.
   */
  learn(
    round: number,
    received: ReadonlyMap<string, ReceivedUpdate>,
    updates: readonly HeldUpdate[],
    pending: ReadonlySet<string>,
  ): void {
    const counted = new Set(updates.map(({ deviceId }) => deviceId));
    const ended = [...this.#decisions].filter(([device]) => !pending.has(device));
    for (const [device] of ended) this.#decisions.delete(device);
    const outcomes = ended
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([device, decision]) => {
        const update = counted.has(device) ? received.get(device) : undefined;
        return this.#outcome(device, decision, update);
      });
    this.#options.controller.learn(outcomes, this.#roundView(round));
    this.#options.knowledge.absorb(updates);
  }

  /** What devices that are still at it were asked for, and what they had before. */
  decisions(): Readonly<Record<string, Decision>> {
    return Object.fromEntries(this.#decisions);
  }

  /** Takes up what `decisions` gave before a restart. */
  restore(decisions: Readonly<Record<string, Decision>>): void {
    for (const [device, decision] of Object.entries(decisions))
      this.#decisions.set(device, decision);
  }

  /** Everything that a checkpoint has to keep for a resumed run to decide alike. */
  export(): Omit<FleetRecord, "norms"> {
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
    if (update === undefined)
      return { device, choice, cost: this.#limits.costOf(device, choice), result: null };
    const { report, uploadMs, structure, sparsity, rank } = update;
    return {
      device,
      choice,
      cost: this.#limits.estimate(device, structure, rank),
      result: {
        ...report,
        uploadMs,
        completionMs: completionMs(update),
        sparsityBefore: reached,
        sparsity,
      },
    };
  }

  #decided(round: number, view: DeviceView, reference: number, choice: Choice): RunEvent {
    const { gflopsPerStep, memoryBytes } = this.#limits.costOf(view.id, choice);
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

  #cheapest({ minSparsity, ranks }: DeviceView): Choice {
    return { sparsity: minSparsity, rank: ranks[0] ?? 1 };
  }

  #roundView(round: number): RoundView {
    const { rounds, plan, pruning } = this.#options.config;
    const referenceSparsity = pruning === null ? 0 : corridor(pruning, round, rounds, 0).reference;
    const finalSparsity = pruning?.final ?? 0;
    return { round, rounds, steps: plan.steps, referenceSparsity, finalSparsity };
  }
}
