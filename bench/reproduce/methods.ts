/** The methods that are compared, as settings of the coordinator: ours, the reference, and what others do. */
import type { CoordinatorConfigInput } from "../../src/coordinator/config.ts";

/** What of the coordinator's settings tells methods apart. */
export type MethodSettings = Pick<
  CoordinatorConfigInput,
  "aggregation" | "controller" | "pruning" | "ranks" | "selfPruning" | "serverRank"
>;

export type Role =
  /** FedSpine, and what we would run instead. */
  | "ours"
  /** Unpruned: what pruning is measured against. */
  | "reference"
  /** Prunes as others do. */
  | "baseline"
  /** FedSpine with one part taken out. */
  | "control";

export interface Method {
  readonly id: string;
  /** As in tables. */
  readonly name: string;
  readonly role: Role;
  /** What it is, as a sentence. */
  readonly what: string;
  /** Settings for a final sparsity of the body; unpruned methods ignore it. */
  readonly settings: (sparsity: number) => MethodSettings;
}

/**
 * Rank where a method has one for all devices, and the ranks where it has several. Lower ones were left out after short runs on
 * TREC, seed 1, where {2, 4, 8, 16}, {4, 8, 16} and {8, 16} ended at 73.9, 77.5 and 80.4 %: this base learns little with them.
 */
export const RANK = 8;
export const RANKS = [8, 16] as const;
const SERVER_RANK = 16;

const oneRank: MethodSettings = { ranks: [RANK], serverRank: RANK };
const severalRanks: MethodSettings = { ranks: [...RANKS], serverRank: SERVER_RANK };
/** A device is asked in one round of eight: it must be able to catch up with the ramp in one step. */
const catchUp = { maxStep: 0.6 };
/** Room for methods that choose: slow devices may run ahead of the ramp and fast ones stay behind it. */
const freely = { ...catchUp, slack: 0.5 };

/** The first is the method under test. */
export const methods: readonly Method[] = [
  {
    id: "fedspine",
    name: "FedSpine",
    role: "ours",
    what: "S-UCB chooses sparsity and rank per device; Fisher scores; stacked products, completed",
    settings: (final) => ({
      ...severalRanks,
      controller: { kind: "s-ucb" },
      aggregation: { kind: "lora-residual" },
      pruning: { final, score: "fisher", ...freely },
    }),
  },
  {
    id: "hybrid",
    name: "FedSpine, hybrid",
    role: "ours",
    what: "As FedSpine, but a fitted time model chooses, and a bandit of the whole fleet corrects its ranks; scores are the fleet's",
    settings: (final) => ({
      ...severalRanks,
      controller: { kind: "hybrid" },
      aggregation: { kind: "lora-residual" },
      pruning: { final, score: "fisher", blend: 1, ...freely },
    }),
  },
  {
    id: "het-lora",
    name: "HetLoRA, unpruned",
    role: "reference",
    what: "Different ranks, zero-padded factors weighted by their norm, rank self-pruning",
    settings: () => ({
      ranks: [...RANKS],
      serverRank: RANKS[RANKS.length - 1] ?? RANK,
      controller: { kind: "random" },
      aggregation: { kind: "het-lora" },
      selfPruning: {},
      pruning: null,
    }),
  },
  {
    id: "fed-it",
    name: "FedIT, unpruned",
    role: "reference",
    what: "One rank, A and B averaged separately",
    settings: () => ({
      ...oneRank,
      controller: { kind: "fixed" },
      aggregation: { kind: "fed-avg" },
      pruning: null,
    }),
  },
  {
    id: "lora-prune",
    name: "Federated LoRAPrune",
    role: "baseline",
    what: "One cubic schedule for all, scores from the gradients of the factors, averaged factors",
    settings: (final) => ({
      ...oneRank,
      controller: { kind: "fixed" },
      aggregation: { kind: "fed-avg" },
      pruning: { final, score: "lora-prune", ...catchUp },
    }),
  },
  {
    id: "prune-once",
    name: "Prune once, then FedLoRA",
    role: "baseline",
    what: "The fleet's mean scores cut everything at once early on, as LLM-Pruner does; then averaged factors",
    settings: (final) => ({
      ...oneRank,
      controller: { kind: "fixed" },
      aggregation: { kind: "fed-avg" },
      pruning: { final, score: "fisher", shape: "once", blend: 1, ...catchUp },
    }),
  },
  {
    id: "fed-mp",
    name: "FedMP on LoRA",
    role: "baseline",
    what: "E-UCB chooses the sparsity, one rank, magnitude scores from the whole base every round, residual recovery",
    settings: (final) => ({
      ...oneRank,
      controller: { kind: "e-ucb", rank: RANK },
      aggregation: { kind: "r2sp" },
      pruning: { final, score: "magnitude", isReversible: true, ...freely },
    }),
  },
  {
    id: "random-units",
    name: "Random units",
    role: "control",
    what: "As the static schedule, but units go by lot",
    settings: (final) => ({
      ...oneRank,
      controller: { kind: "fixed" },
      aggregation: { kind: "lora-stack" },
      pruning: { final, score: "random", ...catchUp },
    }),
  },
  {
    id: "static",
    name: "Static schedule",
    role: "control",
    what: "FedSpine without a controller: one schedule and one rank for all",
    settings: (final) => ({
      ...oneRank,
      controller: { kind: "fixed" },
      aggregation: { kind: "lora-stack" },
      pruning: { final, score: "fisher", ...catchUp },
    }),
  },
];

/** Whether its models shrink. */
export function isPruned({ settings }: Method): boolean {
  return settings(0.5).pruning !== null;
}
