/** The bandit of FedMP (Jiang et al., ICDE 2022): one tree over the pruning ratio per device, one rank for all. */
import { entries, fields, integer, nullable, number, options } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Controller, Outcome } from "./controller.ts";
import { nearestRank, sparsityAt } from "./feasible.ts";
import {
  best,
  confidence,
  drawIn,
  leavesShape,
  meanReward,
  record,
  split,
  wholeRange,
} from "./interval-tree.ts";
import type { Leaf } from "./interval-tree.ts";

const readOptions = options(
  {
    rank: integer(1),
    discount: number(0.01, 1),
    /** Width below which an interval is not split. */
    finest: number(0.001, 1),
    /** Smallest distance to the mean completion time that the reward is divided by, as a share of the mean. */
    guard: number(0.0001, 1),
  },
  { rank: 8, discount: 0.95, finest: 0.1, guard: 0.01 },
  "controller e-ucb",
);

const deviceShape = fields({
  asked: askedShape,
  leaves: leavesShape,
  /** Where in the corridor the device was asked to be; null once its outcome is known. */
  position: nullable(number(0, 1)),
  lastReward: nullable(number()),
});
const readState = fields({ devices: entries(deviceShape) });

/**
 * Options: `rank` (8), `discount` (0.95), `finest` (0.1), `guard` (0.01). The arm is a position in the device's corridor.
 * Faithful to its source also where that hurts: it splits at the drawn point, and new leaves start undrawn.
 */
export function eUcb(settings?: unknown): Controller {
  const { rank, discount, finest, guard } = readOptions(settings);
  let devices = new Map<string, ShapeOf<typeof deviceShape>>();

  function learnFrom(outcome: Outcome, reward: number): void {
    const device = devices.get(outcome.device);
    if (device === undefined || device.position === null) return;
    const { leaves, position } = device;
    device.position = null;
    device.lastReward = reward;
    const leaf = record(leaves, position, reward, discount);
    if (leaf !== undefined && leaf.high - leaf.low > finest) split(leaves, leaf, position, 0);
  }

  return {
    name: "e-ucb",
    propose(views, round, rng) {
      return new Map(
        views.map((view) => {
          const known = devices.get(view.id);
          const leaves = known?.leaves ?? wholeRange();
          const leaf = best(leaves, (one) => meanReward(one) + bonus(leaves, one), rng);
          const position = drawIn(leaf, rng);
          const choice = { sparsity: sparsityAt(view, position), rank: nearestRank(view, rank) };
          const asked = askedOf(view, choice, round);
          devices.set(view.id, { asked, leaves, position, lastReward: known?.lastReward ?? null });
          return [view.id, choice];
        }),
      );
    },
    learn(outcomes) {
      const times = outcomes.flatMap(({ result }) =>
        result === null ? [] : [result.completionMs],
      );
      const mean = times.reduce((sum, time) => sum + time, 0) / Math.max(1, times.length);
      for (const outcome of outcomes) {
        learnFrom(outcome, quotientReward(outcome, mean, guard));
      }
    },
    export: () => structuredClone({ devices: [...devices] }),
    restore(state) {
      ({ devices } = readState(state, "state of controller e-ucb"));
    },
    explain(deviceId) {
      const device = devices.get(deviceId);
      if (device === undefined) return null;
      const { asked, leaves, lastReward } = device;
      return {
        summary: `${chosen(asked)}: drawn from the interval with the largest upper confidence bound; the rank is fixed`,
        tables: [
          {
            title: "Arms: positions in the corridor",
            columns: ["from", "to", "draws, discounted", "mean reward", "bonus"],
            rows: leaves.map((leaf) => [
              ...[leaf.low, leaf.high, leaf.count, meanReward(leaf)],
              Number.isFinite(bonus(leaves, leaf)) ? bonus(leaves, leaf) : "undrawn",
            ]),
          },
          {
            title: "Last reward",
            columns: ["reward"],
            rows: lastReward === null ? [] : [[lastReward]],
          },
          feasibleTable(asked),
        ],
      };
    },
  };
}

function bonus(leaves: readonly Leaf[], { count }: Leaf): number {
  return confidence(
    leaves.reduce((sum, leaf) => sum + leaf.count, 0),
    count,
  );
}

/** Learning gain over the distance to the mean completion time, in units of it; 0 for an update that did not come. */
function quotientReward({ result }: Outcome, meanMs: number, guard: number): number {
  if (result === null || meanMs <= 0) return 0;
  const distance = Math.abs(result.completionMs - meanMs) / meanMs;
  return Math.max(0, result.lossFirst - result.lossLast) / Math.max(guard, distance);
}
