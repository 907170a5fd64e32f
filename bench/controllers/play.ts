/** Lets one controller run the toy fleet for a whole run and sums up what it cost and reached. */
import { Rng } from "../../src/base/rng.ts";
import type { Controller, RoundView } from "../../src/strategies/controllers/controller.ts";
import { corridor, pruningSchedule } from "../../src/strategies/pruning-schedule.ts";
import { World, type Board } from "./world.ts";

export interface Scenario {
  readonly name: string;
  /** "free": any sparsity up to `final` in any round, pruned units come back. "ramp": the schedule with its defaults. */
  readonly pruning: "free" | "ramp";
  readonly final: number;
  /** Of the ramp: how far devices may stand off it. */
  readonly slack: number;
  readonly participants: number;
  readonly rounds: number;
  readonly bytesPerRank: number;
  readonly prunedShare: number;
  readonly halfRank: number;
  readonly overfit: number;
  readonly hasOwnLinks: boolean;
  readonly lossRate: number;
}

/** RoBERTa-base: adapters on query and value only, or on all linear layers. */
const queryValue = { bytesPerRank: 147_456, prunedShare: 0.25 };
const allLinear = { bytesPerRank: 663_552, prunedShare: 0.5 };
const common = { rounds: 100, halfRank: 4, overfit: 0, hasOwnLinks: false, lossRate: 0 };

const free = { pruning: "free", final: 0.6, slack: 0.1, ...queryValue, ...common } as const;
const ramp = { pruning: "ramp", final: 0.5, slack: 0.1, ...allLinear, ...common } as const;

export const scenarios: readonly Scenario[] = [
  { name: "free, 80 of 80", participants: 80, ...free },
  { name: "free, 10 of 80", participants: 10, ...free },
  { name: "ramp, 80 of 80", participants: 80, ...ramp },
  { name: "ramp, 10 of 80", participants: 10, ...ramp },
  { name: "wide ramp, 80 of 80", participants: 80, ...ramp, slack: 0.5 },
  { name: "wide ramp, 10 of 80", participants: 10, ...ramp, slack: 0.5 },
  { name: "own links, 80 of 80", participants: 80, ...ramp, hasOwnLinks: true },
  { name: "own links, 10 of 80", participants: 10, ...ramp, hasOwnLinks: true },
  { name: "hurtful ranks, 80 of 80", participants: 80, ...free, overfit: 0.05 },
  { name: "hurtful ranks, 10 of 80", participants: 10, ...free, overfit: 0.05 },
];

/** Throws RangeError for a name that no scenario has. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new RangeError(`no scenario ${name}`);
  return found;
}

/** Sums and means over the rounds of one play; times in simulated seconds. */
export interface Play {
  readonly meanRoundS: number;
  /** Mean over rounds and participants of the time between a device's end and the round's. */
  readonly meanWaitingS: number;
  readonly totalS: number;
  readonly finalSparsity: number;
  readonly meanRank: number;
  readonly finalLoss: number;
  /** Until the mean loss of all devices' own models is down to the target, null when it never is. */
  readonly secondsToTarget: number | null;
}

const steps = 20;
const targetLoss = 1;

export function play(controller: Controller, scenario: Scenario, seed: number | string): Play {
  const { payload, ...rest } = { payload: scenario, ...scenario };
  const world = new World({ ...rest, payload, seed });
  const rng = Rng.fromSeed(seed).fork("controller");
  const schedule = pruningSchedule({ final: scenario.final, slack: scenario.slack });
  const boards = new Map(world.boards.map((board) => [board.id, board]));
  const sums = { round: 0, waiting: 0, rank: 0 };
  let secondsToTarget: number | null = null;

  for (let round = 1; round <= scenario.rounds; round++) {
    world.beginRound(round);
    const limits = (board: Board): { min: number; max: number } =>
      scenario.pruning === "free"
        ? { min: 0, max: scenario.final }
        : corridor(schedule, round, scenario.rounds, board.sparsity);
    const views = world.participants(scenario.participants).map((board) => {
      const { min, max } = limits(board);
      return world.view(board, min, max);
    });
    const reference =
      scenario.pruning === "free"
        ? scenario.final / 2
        : corridor(schedule, round, scenario.rounds, 0).reference;
    const about: RoundView = {
      ...{ round, rounds: scenario.rounds, steps },
      ...{ referenceSparsity: reference, finalSparsity: scenario.final },
    };
    const choices = controller.propose(views, about, rng);
    const outcomes = world.train(
      new Map(
        [...choices].flatMap(([id, choice]) => {
          const board = boards.get(id);
          return board === undefined ? [] : [[board, choice] as const];
        }),
      ),
      steps,
    );
    controller.learn(outcomes, about);

    const times = outcomes.flatMap(({ result }) =>
      result === null ? [] : [result.completionMs / 1000],
    );
    const longest = Math.max(0, ...times);
    sums.round += longest;
    sums.waiting += longest - mean(times);
    sums.rank += mean([...choices.values()].map(({ rank }) => rank));
    if (secondsToTarget === null && world.fleetLoss() <= targetLoss) secondsToTarget = sums.round;
  }
  return {
    meanRoundS: sums.round / scenario.rounds,
    meanWaitingS: sums.waiting / scenario.rounds,
    totalS: sums.round,
    finalSparsity: mean(world.boards.map(({ sparsity }) => sparsity)),
    meanRank: sums.rank / scenario.rounds,
    finalLoss: world.fleetLoss(),
    secondsToTarget,
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
