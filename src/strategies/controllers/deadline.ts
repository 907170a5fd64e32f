/** The common deadline of a round and the least that a device has to give up to meet it. */
import type { Choice, DeviceView, RoundView } from "./controller.ts";
import { nearestRank, positionOf, sparsityAt } from "./feasible.ts";
import { roundTime } from "./time-model.ts";
import type { TimeLaw } from "./time-model.ts";

/** A device whose time can be predicted. */
export interface Timed {
  readonly view: DeviceView;
  readonly law: TimeLaw;
}

export interface DeadlineSettings {
  /** What even the slowest device trains with. */
  readonly rank: number;
  /** Worth of the whole list of ranks, where the whole corridor of sparsity is worth 1. */
  readonly rankWeight: number;
  /** Standard deviations by which a device may turn out slower than predicted, and its links twice as much worse, and still be in time. */
  readonly caution: number;
}

/** Halvings of the corridor when a time is solved for a sparsity: to a thousandth of its width. */
const halvings = 10;

/** Share of a device's time that the next lower rank must save for a device that all others wait for. */
const worthARank = 0.05;

/** What a device is asked when all others wait for it: the most pruning, and less than the usual rank where its link is what takes time. */
export function hurried({ view, law }: Timed, { steps }: RoundView, rank: number): Choice {
  const usual = nearestRank(view, rank);
  const sparsity = view.maxSparsity;
  const secondsAt = (rank: number): number => roundTime(law, view, { sparsity, rank }, steps).total;
  let chosen = usual;
  for (const lower of view.ranks.filter((rank) => rank < usual).reverse()) {
    if (secondsAt(lower) > (1 - worthARank) * secondsAt(chosen)) break;
    chosen = lower;
  }
  return { sparsity, rank: chosen };
}

/** Seconds that the slowest device needs when it hurries: no round is shorter. */
export function shortestRound(fleet: readonly Timed[], round: RoundView, rank: number): number {
  return fleet.reduce((longest, timed) => {
    const { view, law } = timed;
    const { total } = roundTime(law, view, hurried(timed, round, rank), round.steps);
    return Math.max(longest, total);
  }, 0);
}

/** For every rank that allows it the least sparsity that meets the deadline, by ascending rank. */
export function frontier(
  { view, law }: Timed,
  deadline: number,
  { steps }: RoundView,
  caution: number,
): Choice[] {
  const isInTime = (position: number, rank: number): boolean => {
    const choice = { sparsity: sparsityAt(view, position), rank };
    return roundTime(law, view, choice, steps, caution).total <= deadline;
  };
  return view.ranks.flatMap((rank) => {
    if (!isInTime(1, rank)) return [];
    if (isInTime(0, rank)) return [{ sparsity: view.minSparsity, rank }];
    let late = 0;
    let inTime = 1;
    for (let i = 0; i < halvings; i++) {
      const middle = (late + inTime) / 2;
      if (isInTime(middle, rank)) inTime = middle;
      else late = middle;
    }
    return [{ sparsity: sparsityAt(view, inTime), rank }];
  });
}

/**
 * The choice on the frontier that gives up least, or null when the device cannot meet the deadline. Nobody goes below
 * `lowestRank`: what the last device keeps, those before it need not give up.
 */
export function leastSacrifice(
  timed: Timed,
  deadline: number,
  round: RoundView,
  { rankWeight, caution }: Omit<DeadlineSettings, "rank">,
  lowestRank = 1,
): Choice | null {
  const { view } = timed;
  const last = Math.max(1, view.ranks.length - 1);
  let choice: Choice | null = null;
  let least = Infinity;
  for (const candidate of frontier(timed, deadline, round, caution)) {
    if (candidate.rank < lowestRank) continue;
    const missingRanks = (last - view.ranks.indexOf(candidate.rank)) / last;
    const sacrifice = positionOf(view, candidate.sparsity) + rankWeight * missingRanks;
    if (sacrifice >= least) continue;
    least = sacrifice;
    choice = candidate;
  }
  return choice;
}
