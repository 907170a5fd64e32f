/** Lets one controller run the toy fleet for a whole run and sums up what it cost and reached. */
import { Rng } from "../../src/base/rng.ts";
import type { Choice, Controller, RoundView } from "../../src/strategies/controllers/controller.ts";
import { corridor, pruningSchedule, type Corridor } from "../../src/strategies/pruning-schedule.ts";
import { World, type Board, type WorldSettings } from "./world.ts";

export interface Scenario extends Omit<WorldSettings, "seed"> {
  readonly name: string;
  /** "free": any sparsity up to `final` in any round, pruned units come back. "ramp": the schedule with its defaults. */
  readonly pruning: "free" | "ramp";
  readonly final: number;
  /** How far devices may stand off the ramp, and how much one round may add. */
  readonly slack: number;
  readonly maxStep: number;
  readonly participants: number;
  readonly rounds: number;
}

/** RoBERTa-base: adapters on query and value only, or on all linear layers. */
const queryValue = { bytesPerRank: 147_456, prunedShare: 0.25 };
const allLinear = { bytesPerRank: 663_552, prunedShare: 0.5 };
const common = { rounds: 100, halfRank: 4, overfit: 0, hasOwnLinks: false, lossRate: 0 };

const usual = { slack: 0.1, maxStep: 0.1 };
const free = { pruning: "free", final: 0.6, ...usual, ...queryValue, ...common } as const;
const ramp = { pruning: "ramp", final: 0.5, ...usual, ...allLinear, ...common } as const;
const wide = { ...ramp, slack: 0.5, maxStep: 0.5 };

export const scenarios: readonly Scenario[] = [
  { name: "free, 80 of 80", participants: 80, ...free },
  { name: "free, 10 of 80", participants: 10, ...free },
  { name: "ramp, 80 of 80", participants: 80, ...ramp },
  { name: "ramp, 10 of 80", participants: 10, ...ramp },
  { name: "wide ramp, 80 of 80", participants: 80, ...wide },
  { name: "wide ramp, 10 of 80", participants: 10, ...wide },
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
  readonly finalSparsity: number;
  readonly meanRank: number;
  readonly finalLoss: number;
  /** Until the mean loss of all devices' own models is down to the target, null when it never is. */
  readonly secondsToTarget: number | null;
}

const steps = 20;
const targetLoss = 1;

/** A run of `scenario.rounds` rounds; worlds and draws of one seed are the same for every controller. */
export function play(controller: Controller, scenario: Scenario, seed: number | string): Play {
  const { rounds, final, participants } = scenario;
  const world = new World({ ...scenario, seed });
  const rng = Rng.fromSeed(seed).fork("controller");
  const limits = limitsOf(scenario);
  const sums = { round: 0, waiting: 0, rank: 0 };
  let secondsToTarget: number | null = null;

  for (let round = 1; round <= rounds; round++) {
    world.beginRound(round);
    const asked = new Map(world.participants(participants).map((board) => [board.id, board]));
    const about: RoundView = {
      ...{ round, rounds, steps, finalSparsity: final },
      referenceSparsity: limits(round, 0).reference,
    };
    const views = [...asked.values()].map((board) => {
      const { min, max } = limits(round, board.sparsity);
      return world.view(board, min, max);
    });
    const choices = controller.propose(views, about, rng);
    const outcomes = world.train(byBoard(choices, asked), steps);
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
    meanRoundS: sums.round / rounds,
    meanWaitingS: sums.waiting / rounds,
    finalSparsity: mean(world.boards.map(({ sparsity }) => sparsity)),
    meanRank: sums.rank / rounds,
    finalLoss: world.fleetLoss(),
    secondsToTarget,
  };
}

/** Bounds of a device's sparsity by round and by what it has reached. */
function limitsOf({ pruning, final, slack, maxStep, rounds }: Scenario) {
  const schedule = pruningSchedule({ final, slack, maxStep });
  return (round: number, reached: number): Corridor =>
    pruning === "free"
      ? { min: 0, max: final, reference: final / 2 }
      : corridor(schedule, round, rounds, reached);
}

function byBoard(
  choices: ReadonlyMap<string, Choice>,
  boards: ReadonlyMap<string, Board>,
): Map<Board, Choice> {
  return new Map(
    [...boards].flatMap(([id, board]) => {
      const choice = choices.get(id);
      return choice === undefined ? [] : [[board, choice] as const];
    }),
  );
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
