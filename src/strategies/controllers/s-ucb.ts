/** Our reconstruction of FedSpine's S-UCB: one discounted, tree-partitioned bandit per device and factor, pruning and rank. */
import {
  entries,
  fields,
  integer,
  list,
  nullable,
  number,
  options,
  text,
} from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Controller, Explanation } from "./controller.ts";
import { draw, estimate, reward } from "./factor-bandit.ts";
import { rankAt, sparsityAt } from "./feasible.ts";
import { leavesShape, wholeRange } from "./interval-tree.ts";
import type { Leaf } from "./interval-tree.ts";
import { rewardParts, rewardPartsShape } from "./reward.ts";
import type { RewardParts } from "./reward.ts";
import { age, emptyPrior, typePriorShape } from "./type-prior.ts";
import type { TypePrior } from "./type-prior.ts";

const readOptions = options(
  {
    discount: number(0.01, 1),
    exploration: number(0, 10),
    splitAfter: integer(1),
    /** Width of the corridor's share below which an interval is not halved. */
    finest: number(0.001, 1),
    prior: number(0),
    /** Weight of time in the reward of each factor; the other parts share the rest. */
    computeWeight: number(0, 1),
    transferWeight: number(0, 1),
  },
  {
    ...{ discount: 0.95, exploration: 0.1, splitAfter: 4, finest: 0.1, prior: 6 },
    ...{ computeWeight: 0.7, transferWeight: 0.5 },
  },
  "controller s-ucb",
);

/** Rounds whose rewards an explanation shows. */
const numRemembered = 5;

const judgedShape = fields({
  round: integer(0),
  sparsity: number(),
  rank: number(),
  parts: rewardPartsShape,
});
const deviceShape = fields({
  type: text,
  asked: askedShape,
  sparsity: leavesShape,
  rank: leavesShape,
  /** Drawn positions; null once the outcome is known. */
  drawn: nullable(fields({ sparsity: number(0, 1), rank: number(0, 1) })),
  /** At the end of its last round. */
  loss: nullable(number()),
  rewards: list(judgedShape),
});
const typeShape = fields({ sparsity: typePriorShape, rank: typePriorShape });
const readState = fields({ devices: entries(deviceShape), types: entries(typeShape) });
type Device = ShapeOf<typeof deviceShape>;

/**
 * Options: `discount` (0.95), `exploration` (0.1), `splitAfter` (4), `finest` (0.1), `prior` (6), `computeWeight` (0.7),
 * `transferWeight` (0.5). The formulas stand in docs/controllers.md.
 */
export function sUcb(settings?: unknown): Controller {
  const { finest, computeWeight, transferWeight, ...factor } = readOptions(settings);
  let devices = new Map<string, Device>();
  let types = new Map<string, ShapeOf<typeof typeShape>>();

  function priorsOf(type: string): { sparsity: TypePrior; rank: TypePrior } {
    const priors = types.get(type) ?? { sparsity: emptyPrior(), rank: emptyPrior() };
    types.set(type, priors);
    return priors;
  }

  /** Pruning is judged by what it changes, and so is the rank. */
  function rewardsFrom(parts: RewardParts): { sparsity: number; rank: number } {
    const { improvement, learning, progress, importance, compute, transfer } = parts;
    const pruned = (improvement + progress + importance) / 3;
    const learnt = 0.7 * learning + 0.3 * importance;
    return {
      sparsity: computeWeight * compute + (1 - computeWeight) * pruned,
      rank: transferWeight * transfer + (1 - transferWeight) * learnt,
    };
  }

  function judge(device: Device, parts: RewardParts, round: number): void {
    if (device.drawn === null) return;
    const { asked, drawn } = device;
    const rewards = rewardsFrom(parts);
    const priors = priorsOf(device.type);
    // Where there was no choice, the reward says nothing about it.
    if (asked.maxSparsity > asked.minSparsity) {
      const at = { position: drawn.sparsity, value: rewards.sparsity, finest };
      reward(device.sparsity, priors.sparsity, at, factor);
    }
    if (asked.ranks.length > 1) {
      const at = { position: drawn.rank, value: rewards.rank, finest: 1 / asked.ranks.length };
      reward(device.rank, priors.rank, at, factor);
    }
    device.drawn = null;
    device.rewards = [...device.rewards, { round, ...rewards, parts }].slice(-numRemembered);
  }

  return {
    name: "s-ucb",
    propose(views, round, rng) {
      return new Map(
        views.map((view) => {
          const known = devices.get(view.id);
          const {
            sparsity = wholeRange(),
            rank = wholeRange(),
            loss = null,
            rewards = [],
          } = known ?? {};
          const priors = priorsOf(view.type);
          const drawn = {
            sparsity: draw(sparsity, priors.sparsity, factor, rng),
            rank: draw(rank, priors.rank, factor, rng),
          };
          const choice = {
            sparsity: sparsityAt(view, drawn.sparsity),
            rank: rankAt(view, drawn.rank),
          };
          const asked = askedOf(view, choice, round);
          devices.set(view.id, { type: view.type, asked, sparsity, rank, drawn, loss, rewards });
          return [view.id, choice];
        }),
      );
    },
    learn(outcomes, { round }) {
      for (const { sparsity, rank } of types.values()) {
        age(sparsity, factor.discount);
        age(rank, factor.discount);
      }
      const parts = rewardParts(outcomes, (id) => {
        const device = devices.get(id);
        return { loss: device?.loss ?? null, maxSparsity: device?.asked.maxSparsity ?? 1 };
      });
      for (const outcome of outcomes) {
        const device = devices.get(outcome.device);
        const earned = parts.get(outcome.device);
        if (device === undefined || earned === undefined) continue;
        judge(device, earned, round);
        if (outcome.result !== null) device.loss = outcome.result.lossLast;
      }
    },
    export: () => structuredClone({ devices: [...devices], types: [...types] }),
    restore(state) {
      ({ devices, types } = readState(state, "state of controller s-ucb"));
    },
    explain(deviceId) {
      const device = devices.get(deviceId);
      if (device === undefined) return null;
      const priors = priorsOf(device.type);
      const arms = (title: string, leaves: readonly Leaf[], type: TypePrior) => ({
        title,
        columns: ["from", "to", "draws, discounted", "mean reward", "bonus"],
        rows: leaves.map((leaf) => {
          const { mean, bonus } = estimate(leaves, leaf, type, factor);
          const shown = Number.isFinite(bonus) ? bonus : "undrawn";
          return [leaf.low, leaf.high, leaf.count, mean, shown];
        }),
      });
      return {
        summary:
          `${chosen(device.asked)}: drawn from the interval with the largest upper confidence bound of each factor; ` +
          `type ${device.type} counts as ${factor.prior} draws`,
        tables: [
          arms("Arms of pruning: positions in the corridor", device.sparsity, priors.sparsity),
          arms("Arms of rank: positions in the list of ranks", device.rank, priors.rank),
          rewardTable(device.rewards),
          feasibleTable(device.asked),
        ],
      };
    },
  };
}

function rewardTable(rewards: Device["rewards"]): Explanation["tables"][number] {
  return {
    title: "Last rewards",
    columns: [
      ...["round", "for pruning", "for rank", "improvement", "learning", "progress"],
      ...["importance", "compute time", "transfer time"],
    ],
    rows: rewards.map(({ round, sparsity, rank, parts }) => [
      ...[round, sparsity, rank, parts.improvement, parts.learning, parts.progress],
      ...[parts.importance, parts.compute, parts.transfer],
    ]),
  };
}
