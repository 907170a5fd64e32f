/** The settings of what the coordinator decides for each device: pruning, controller and ranks. */
import * as v from "valibot";
import { scoreNames } from "../protocol/messages.ts";
import type { UpdateDtype } from "../io/adapter-values.ts";
import { ConfigError } from "../base/errors.ts";
import type { Aggregator } from "../strategies/aggregation/aggregator.ts";
import { aggregators } from "../strategies/aggregation/index.ts";
import { createController } from "../strategies/controllers/index.ts";
import type { Controller } from "../strategies/controllers/controller.ts";

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
export const rankSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1024));

/** How the devices' models shrink; the names are explained in src/strategies/pruning-schedule.ts and in the plan's messages. */
export const pruningSchema = v.strictObject({
  /** Share of the body's parameters that is gone at the end. */
  final: v.pipe(v.number(), v.minValue(0), v.maxValue(0.99)),
  warmupShare: v.optional(share, 0.1),
  cooldownShare: v.optional(share, 0.2),
  shape: v.optional(v.picklist(["cubic", "once"]), "cubic"),
  maxStep: v.optional(v.pipe(v.number(), v.minValue(0.001), v.maxValue(1)), 0.1),
  slack: v.optional(share, 0.1),
  score: v.optional(v.picklist(scoreNames), "fisher"),
  decay: v.optional(v.pipe(v.number(), v.minValue(0), v.ltValue(1)), 0.9),
  blend: v.optional(share, 0.5),
  guard: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.gtValue(0))), null),
  minFfnShare: v.optional(share, 0.1),
  isReversible: v.optional(v.boolean(), false),
});

export type PruningConfig = v.InferOutput<typeof pruningSchema>;

/** What an update has to keep to before it can touch the global adapter; docs/aggregation.md has the reasons. */
export const validationSchema = v.strictObject({
  /** Largest change of an update, times the median of those that counted before; null = no bound. */
  normFactor: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(1))), 5),
  /** Updates that must have counted before one is judged when it arrives; until then those of a round judge each other. */
  warmup: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(3)), 10),
  /** Updates that the median is taken over, the newest. */
  window: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(3)), 64),
  /** Most samples that a device can claim, times the median of the round's claims; null = no such bound. */
  samplesFactor: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(1))), 10),
  /** Most samples that a device can claim at all; null = no such bound. */
  maxSamples: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1))), null),
});

export type ValidationConfig = v.InferOutput<typeof validationSchema>;

/** Whether devices wait for each other; docs/asynchronous.md has the reasons. */
export const modeSchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("sync") }),
  v.strictObject({
    /** A new global adapter for every `size` updates, whichever adapters they were trained from. */
    kind: v.literal("buffered"),
    size: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    /** Adapters that may have been made since the one that an update was trained from; older work is given up. */
    maxStaleness: v.optional(
      v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(100)),
      8,
    ),
    /** An update that is s adapters old weighs (1 + s) to the minus this. */
    stalenessPower: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0)), 0.5),
  }),
]);

export type ModeConfig = v.InferOutput<typeof modeSchema>;

/** `kind` and the options of that controller, which checks them itself. */
export const controllerSchema = v.looseObject({ kind: v.string() });

export const selfPruningSchema = v.strictObject({
  /** Weight of the tail's norm in the loss. */
  weight: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0)), 0.01),
  /** Share of the rank that is not tail. */
  share: v.optional(v.pipe(v.number(), v.gtValue(0), v.ltValue(1)), 0.99),
});

/** The part of the settings that decides about ranks. */
export interface StrategySettings {
  readonly plan: { readonly rank: number; readonly updateDtype: UpdateDtype };
  readonly controller: Readonly<Record<string, unknown>> & { readonly kind: string };
  readonly aggregation: { readonly kind: string };
  readonly ranks?: readonly number[];
  readonly serverRank?: number;
  readonly mode: ModeConfig;
}

/** Ranks offered when the settings name none: those up to the plan's. */
const USUAL_RANKS = [2, 4, 8, 16, 32];

/** The ranks that devices may get, ascending: one where nobody chooses or all must be equal, unless the settings list them. */
export function ranksOf(settings: StrategySettings): number[] {
  const { ranks, controller, plan } = settings;
  const isOne = controller.kind === "fixed" || aggregatorOf(settings).needsEqualRanks === true;
  const usual = isOne ? [] : USUAL_RANKS.filter((rank) => rank < plan.rank);
  return [...new Set(ranks ?? [...usual, plan.rank])].sort((a, b) => a - b);
}

/** Rank of the global adapter: twice the largest of several, so that the sum of the devices' directions has room. */
export function serverRankOf(settings: StrategySettings): number {
  const ranks = ranksOf(settings);
  const largest = ranks.at(-1) ?? settings.plan.rank;
  return settings.serverRank ?? (ranks.length > 1 ? 2 * largest : largest);
}

/** Throws ConfigError for an unknown kind or option. */
export function controllerOf({ controller, plan }: StrategySettings): Controller {
  const { kind, ...options } = controller;
  return createController(kind, kind === "fixed" ? { rank: plan.rank, ...options } : options);
}

/** Throws ConfigError for an unknown kind. */
export function aggregatorOf({ aggregation: { kind } }: StrategySettings): Aggregator {
  const found = Object.hasOwn(aggregators, kind) ? aggregators[kind] : undefined;
  if (found !== undefined) return found;
  throw new ConfigError(`there is no aggregation ${kind}`, {
    expected: Object.keys(aggregators).join(", "),
  });
}

/** Throws ConfigError when controller, ranks and aggregation do not go together. */
export function expectStrategies(settings: StrategySettings): void {
  controllerOf(settings);
  const { name, needsEqualRanks, takesAnyRank, trainsA } = aggregatorOf(settings);
  const { updateDtype } = settings.plan;
  if (trainsA === false && updateDtype !== "f32") {
    throw new ConfigError(`coordinator settings: ${name} compares the A factors bit by bit`, {
      expected: "plan.updateDtype f32",
      got: updateDtype,
    });
  }
  if (settings.mode.kind === "buffered" && takesAnyRank !== true) {
    const able = Object.values(aggregators).filter((rule) => rule.takesAnyRank === true);
    throw new ConfigError(`coordinator settings: ${name} cannot merge stale updates`, {
      expected: able.map((rule) => rule.name).join(", "),
      hint: "choose one of these, or mode sync",
    });
  }
  const ranks = ranksOf(settings);
  const server = serverRankOf(settings);
  const largest = ranks.at(-1) ?? 0;
  if (server < largest) {
    throw new ConfigError("coordinator settings: serverRank is below the rank of a device", {
      expected: `at least ${largest}`,
      got: String(server),
    });
  }
  if (needsEqualRanks !== true || (ranks.length === 1 && server === largest)) return;
  throw new ConfigError(`coordinator settings: ${name} needs one rank everywhere`, {
    got: `ranks ${ranks.join(", ")} and serverRank ${server}`,
  });
}
