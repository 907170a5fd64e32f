/** `npm run bench:controllers [-- words]`: every controller over the toy fleet; a table on stderr, one JSON line per result on stdout. */
import { controllers, createController } from "../../src/strategies/controllers/index.ts";
import { play, scenarios, type Play } from "./play.ts";

const numSeeds = 8;

/** Mean and standard deviation over the seeds. */
function spread(values: readonly number[]): { mean: number; sd: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: Math.sqrt(squares / Math.max(1, values.length - 1)) };
}

const words = process.argv.slice(2);
const isWanted = (name: string, all: readonly string[]): boolean => {
  const chosen = words.filter((word) => all.some((known) => known.includes(word)));
  return chosen.length === 0 || chosen.some((word) => name.includes(word));
};
const names = Object.keys(controllers);
const columns = ["round s", "waiting s", "sparsity", "rank", "loss", "to target s", "saved"];

for (const scenario of scenarios) {
  if (
    !isWanted(
      scenario.name,
      scenarios.map(({ name }) => name),
    )
  )
    continue;
  console.error(`\n${scenario.name}, ${numSeeds} seeds`);
  console.error(
    ["controller".padEnd(14), ...columns.map((column) => column.padStart(12))].join(""),
  );
  const baseline = new Map<string, number>();
  for (const name of names) {
    if (!isWanted(name, names) && name !== "fixed") continue;
    const plays: Play[] = [];
    for (let seed = 1; seed <= numSeeds; seed++) {
      plays.push(play(createController(name), scenario, seed));
    }
    const of = (key: keyof Play): { mean: number; sd: number } =>
      spread(plays.map((one) => one[key] ?? NaN));
    const round = of("meanRoundS");
    baseline.set(name, round.mean);
    const saved = 1 - round.mean / (baseline.get("fixed") ?? round.mean);
    const cells = [
      `${round.mean.toFixed(0)} ±${round.sd.toFixed(0)}`,
      of("meanWaitingS").mean.toFixed(0),
      of("finalSparsity").mean.toFixed(3),
      of("meanRank").mean.toFixed(1),
      of("finalLoss").mean.toFixed(3),
      of("secondsToTarget").mean.toFixed(0),
      `${(100 * saved).toFixed(0)} %`,
    ];
    console.error([name.padEnd(14), ...cells.map((cell) => cell.padStart(12))].join(""));
    process.stdout.write(
      `${JSON.stringify({ scenario: scenario.name, controller: name, plays })}\n`,
    );
  }
}
