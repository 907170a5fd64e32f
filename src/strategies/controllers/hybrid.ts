/** Prediction for time, a bandit shared by the fleet for learning: it moves the rank off the predicted one where that pays. */
import type { Rng } from "../../base/rng.ts";
import {
  entries,
  fields,
  flag,
  integer,
  list,
  nullable,
  number,
  opaque,
  options,
} from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Choice, Controller, Outcome, RoundView } from "./controller.ts";
import { frontier } from "./deadline.ts";
import { Planner, plannerDefaults, plannerShapes } from "./planner.ts";
import type { Point } from "./planner.ts";
import { median } from "./reward.ts";
import {
  addSample,
  ageSamples,
  errorOf,
  meanOf,
  noSamples,
  samplesShape,
  surely,
} from "./samples.ts";
import type { Samples } from "./samples.ts";

const readOptions = options(
  {
    ...plannerShapes,
    /** Share of the choices that try a neighbour of the best known one. */
    trials: number(0, 1),
    /** Standard errors of the difference by which another rank must be better than the predicted one. */
    certainty: number(0, 10),
    /** Weight of a reward per later round. */
    discount: number(0.01, 1),
    /** Steps in the list of ranks that a choice may be off the predicted one. */
    reach: integer(0),
  },
  { ...plannerDefaults, trials: 0.1, certainty: 2, discount: 0.99, reach: 2 },
  "controller hybrid",
);
const at = "state of controller hybrid";

/** Rounds whose rewards an explanation shows. */
const numRemembered = 5;
/** Weight of the newest reward in what a device usually gets. */
const newest = 0.2;

const judgedShape = fields({
  ...{ round: integer(0), rank: integer(1), gain: number(), medianGain: number() },
  ...{ inTime: number(0, 1), reward: number(0, 1) },
});
const deviceShape = fields({
  asked: askedShape,
  predictedRank: integer(1),
  deadline: nullable(number(0)),
  /** Whether the outcome of the last choice is still to come. */
  isOpen: flag,
  loss: nullable(number()),
  /** Moving mean of its rewards: what it gets whatever is chosen. */
  usual: nullable(number()),
  rewards: list(judgedShape),
});
const armShape = fields({ rank: integer(1), samples: samplesShape });
const readState = fields({
  devices: entries(deviceShape),
  arms: list(armShape),
  planner: opaque,
});
type Device = ShapeOf<typeof deviceShape>;

/**
 * Options: those of `model-based`, and `trials` (0.1), `certainty` (2), `discount` (0.99), `reach` (2).
 * The formulas stand in docs/controllers.md.
 */
export function hybrid(settings?: unknown): Controller {
  const { trials, certainty, discount, reach, ...plannerSettings } = readOptions(settings);
  const planner = new Planner(plannerSettings);
  let devices = new Map<string, Device>();
  /** By rank: rewards of all devices less what each usually gets. */
  let arms = new Map<number, Samples>();

  /** The predicted choice and those within reach of it that keep the deadline, by ascending rank. */
  function neighbours({ timed, choice }: Point, deadline: number, round: RoundView): Choice[] {
    if (timed === null) return [choice];
    const { ranks } = timed.view;
    const home = ranks.indexOf(choice.rank);
    const near = frontier(timed, deadline, round, plannerSettings.caution).filter(
      ({ rank }) => rank !== choice.rank && Math.abs(ranks.indexOf(rank) - home) <= reach,
    );
    return [...near, choice].sort((a, b) => a.rank - b.rank);
  }

  /** The predicted choice, or the best of those that are surely better; now and then the next one beside it, to learn. */
  function pick(choices: readonly Choice[], home: Choice, rng: Rng): Choice {
    const samplesOf = ({ rank }: Choice): Samples => arms.get(rank) ?? noSamples();
    let best = home;
    for (const other of choices) {
      const isBetter = surely(samplesOf(other), samplesOf(home), certainty);
      if (isBetter && meanOf(samplesOf(other)) > meanOf(samplesOf(best))) best = other;
    }
    const i = choices.indexOf(best);
    const beside = [choices[i - 1], choices[i + 1]].filter((choice) => choice !== undefined);
    return beside.length > 0 && rng.next() < trials ? rng.pick(beside) : best;
  }

  function judge(outcome: Outcome, gain: number | null, scale: Scale, round: number): void {
    const device = devices.get(outcome.device);
    if (device === undefined || !device.isOpen) return;
    device.isOpen = false;
    const { rank } = device.asked;
    let inTime = 0;
    let reward = 0;
    if (outcome.result !== null && gain !== null) {
      const { completionMs, lossLast } = outcome.result;
      inTime = Math.min(1, (1000 * (device.deadline ?? Infinity)) / Math.max(1, completionMs));
      reward = inTime * Math.min(1, Math.max(0, 0.5 + (gain - scale.middle) / (4 * scale.spread)));
      device.loss = lossLast;
    }
    if (device.usual !== null) {
      const samples = arms.get(rank) ?? noSamples();
      addSample(samples, reward - device.usual);
      arms.set(rank, samples);
    }
    device.usual = device.usual === null ? reward : device.usual + newest * (reward - device.usual);
    const entry = { round, rank, gain: gain ?? 0, medianGain: scale.middle, inTime, reward };
    device.rewards = [...device.rewards, entry].slice(-numRemembered);
  }

  return {
    name: "hybrid",
    propose(views, round, rng) {
      const plan = planner.plan(views, round);
      return new Map(
        views.flatMap((view) => {
          const point = plan.points.get(view.id);
          if (point === undefined) return [];
          const choice = pick(neighbours(point, plan.deadline ?? 0, round), point.choice, rng);
          const { loss = null, usual = null, rewards = [] } = devices.get(view.id) ?? {};
          devices.set(view.id, {
            ...{ asked: askedOf(view, choice, round), predictedRank: point.choice.rank },
            ...{ deadline: plan.deadline, isOpen: true, loss, usual, rewards },
          });
          planner.note(view, choice, round, plan);
          return [[view.id, choice] as const];
        }),
      );
    },
    learn(outcomes, { round }) {
      planner.learn(outcomes);
      for (const samples of arms.values()) ageSamples(samples, discount);
      const gains = outcomes.map(({ device, result }) => {
        if (result === null) return null;
        // Two views of one end: what this round has taught, and what pruning and company have left of it since the last one.
        const before = (result.lossFirst + (devices.get(device)?.loss ?? result.lossFirst)) / 2;
        return before - result.lossLast;
      });
      const scale = scaleOf(gains.filter((gain) => gain !== null));
      outcomes.forEach((outcome, i) => judge(outcome, gains[i] ?? null, scale, round));
    },
    export: () => {
      const ranks = [...arms].map(([rank, samples]) => ({ rank, samples }));
      return structuredClone({ devices: [...devices], arms: ranks, planner: planner.export() });
    },
    restore(state) {
      const read = readState(state, at);
      planner.restore(read.planner, at);
      devices = read.devices;
      arms = new Map(read.arms.map(({ rank, samples }) => [rank, samples]));
    },
    explain(deviceId) {
      const device = devices.get(deviceId);
      if (device === undefined) return null;
      const { asked, predictedRank, rewards } = device;
      const reason =
        asked.rank === predictedRank
          ? planner.reason(deviceId)
          : `rank ${predictedRank} was predicted, and this one is in time too: to use or to try what was learnt`;
      return {
        summary: `${chosen(asked)}: ${reason}`,
        tables: [
          ...planner.tables(deviceId),
          {
            title: "Ranks, all devices: reward beyond what the device usually gets",
            columns: ["rank", "draws, discounted", "mean advantage", "standard error"],
            rows: [...arms]
              .sort(([a], [b]) => a - b)
              .map(([rank, samples]) => [
                ...[rank, samples.count, meanOf(samples)],
                samples.count < 1 ? "unknown" : errorOf(samples),
              ]),
          },
          {
            title: "Last rewards",
            columns: ["round", "rank", "gain", "median gain", "in time", "reward"],
            rows: rewards.map(({ round, rank, gain, medianGain, inTime, reward }) => [
              ...[round, rank, gain, medianGain, inTime, reward],
            ]),
          },
          feasibleTable(asked),
        ],
      };
    },
  };
}

/** Gains of a round: their median and how far they lie apart. */
interface Scale {
  readonly middle: number;
  readonly spread: number;
}

function scaleOf(gains: readonly number[]): Scale {
  const middle = median(gains);
  const spread = 1.5 * median(gains.map((gain) => Math.abs(gain - middle)));
  return { middle, spread: Math.max(1e-6, spread) };
}
