/**
 * Every controller on every scenario of the toy fleet, over eight seeds.
 *
 *   npm run bench:controllers -- ramp hybrid s-ucb
 *
 * Words choose scenarios and controllers that contain them; none of a sort means all. A table on stderr, one JSON line per
 * scenario and controller on stdout.
 */
import { controllers, createController } from "../../src/strategies/controllers/index.ts";
import { play, scenarios, type Play } from "./play.ts";

const numSeeds = 8;
const words = process.argv.slice(2);

/** Those that contain one of the words; all when no word fits any. */
function chosen<T>(items: readonly T[], nameOf: (item: T) => string): readonly T[] {
  const fitting = items.filter((item) => words.some((word) => nameOf(item).includes(word)));
  return fitting.length > 0 ? fitting : items;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

/** Texts of one row; `fixedS` is the mean round time of the fixed choice. */
function cells(plays: readonly Play[], fixedS: number): string[] {
  const of = (read: (one: Play) => number): number => mean(plays.map(read));
  const rounds = plays.map(({ meanRoundS }) => meanRoundS);
  return [
    `${mean(rounds).toFixed(0)} ± ${deviation(rounds).toFixed(0)}`,
    of((one) => one.meanWaitingS).toFixed(0),
    `${(100 * (1 - mean(rounds) / fixedS)).toFixed(0)} %`,
    of((one) => (one.secondsToTarget ?? Infinity) / 3600).toFixed(1),
    of((one) => one.finalLoss).toFixed(3),
    of((one) => one.finalSparsity).toFixed(3),
    of((one) => one.meanRank).toFixed(1),
  ];
}

/** Every kind with its defaults, and the fixed choice with the largest rank, since those that choose may take it. */
const contenders = [
  ...Object.keys(controllers).map((name) => ({ name, kind: name, options: {} })),
  { name: "fixed-32", kind: "fixed", options: { rank: 32 } },
];

const columns = ["round s", "waiting s", "saved", "target h", "final loss", "sparsity", "rank"];
const line = (name: string, texts: readonly string[]): string =>
  [name.padEnd(14), ...texts.map((text) => text.padStart(12))].join("");

for (const scenario of chosen(scenarios, ({ name }) => name)) {
  console.error(`\n${scenario.name}, ${numSeeds} seeds`);
  console.error(line("controller", columns));
  const playAll = (kind: string, options: object): Play[] =>
    Array.from({ length: numSeeds }, (_, i) =>
      play(createController(kind, options), scenario, i + 1),
    );
  const fixedS = mean(playAll("fixed", {}).map(({ meanRoundS }) => meanRoundS));
  for (const { name, kind, options } of chosen(contenders, (one) => one.name)) {
    const plays = playAll(kind, options);
    console.error(line(name, cells(plays, fixedS)));
    console.log(JSON.stringify({ scenario: scenario.name, controller: name, plays }));
  }
}
