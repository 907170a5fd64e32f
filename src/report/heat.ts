/** What each device had in each round: sparsity and rank as tables of coloured cells. */
import type { Figure } from "./figures.ts";
import type { HeatPlot } from "./plot.ts";
import type { RoundUpdate, RunFacts } from "./rounds.ts";
import { rampStep, type Tone } from "./tones.ts";

/** More classes than this are told apart by nobody. */
const MAX_CLASSES = 7;
/** Units go as wholes, so that a device stands a little off the sparsity that it was asked for. */
const OVERSHOOT = 0.005;

/** The two tables; none for a run without pruning and with one rank. */
export function heatOf(facts: RunFacts): Figure[] {
  const updates = facts.rounds.flatMap((round) => round.updates);
  const sparsities = values(updates, ({ sparsity }) => sparsity);
  const ranks = values(updates, ({ rank }) => rank);
  const figures: Figure[] = [];
  if (sparsities.some((value) => value > 0)) figures.push(sparsityFigure(facts, sparsities));
  if (ranks.length > 1) figures.push(rankFigure(facts, ranks));
  return figures;
}

function sparsityFigure(facts: RunFacts, sparsities: readonly number[]): Figure {
  const most = Math.max(OVERSHOOT, ...sparsities) - OVERSHOOT;
  const width = niceWidth(most);
  const numClasses = Math.max(1, Math.ceil(most / width - 1e-9));
  const classes = Array.from({ length: numClasses }, (_, i) => ({
    label: `${Math.round(100 * width * i)}–${Math.round(100 * width * (i + 1))} %`,
    tone: `blue-${rampStep(numClasses === 1 ? 1 : i / (numClasses - 1))}` as const,
  }));
  return {
    heading: "Sparsity by device and round",
    caption: "What the device had left out when it trained. Empty where it sent no update.",
    ...table(facts, "Sparsity by device and round", classes, ({ sparsity }) =>
      sparsity === undefined
        ? null
        : Math.min(numClasses - 1, Math.floor((sparsity + OVERSHOOT) / width)),
    ),
  };
}

function rankFigure(facts: RunFacts, ranks: readonly number[]): Figure {
  const step = Math.ceil(ranks.length / MAX_CLASSES);
  const lows = ranks.filter((_, i) => i % step === 0);
  const classes = lows.map((low, i) => {
    const high = ranks[Math.min(ranks.length - 1, (i + 1) * step - 1)] ?? low;
    const tone: Tone = `green-${rampStep(lows.length === 1 ? 1 : i / (lows.length - 1))}`;
    return { label: high === low ? `rank ${low}` : `rank ${low}–${high}`, tone };
  });
  return {
    heading: "LoRA rank by device and round",
    caption: "Rank of the update that the device sent.",
    ...table(facts, "LoRA rank by device and round", classes, ({ rank }) =>
      rank === undefined ? null : lows.findLastIndex((low) => rank >= low),
    ),
  };
}

function table(
  { rounds }: RunFacts,
  title: string,
  classes: HeatPlot["classes"],
  classOf: (update: RoundUpdate) => number | null,
): { plot: HeatPlot; rows: number } {
  const devices = [
    ...new Set(rounds.flatMap(({ updates }) => updates.map(({ device }) => device))),
  ].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const rowOf = new Map(devices.map((device, row) => [device, row]));
  const cells = rounds.flatMap(({ updates }, column) =>
    updates.flatMap((update) => {
      const classIndex = classOf(update);
      const row = rowOf.get(update.device);
      return classIndex === null || row === undefined ? [] : [[column, row, classIndex] as const];
    }),
  );
  return {
    rows: devices.length,
    plot: {
      kind: "heat",
      title,
      x: { name: "round", categories: rounds.map(({ round }) => String(round)) },
      y: { name: "device", categories: devices },
      classes,
      cells,
    },
  };
}

/** The different values, ascending. */
function values(
  updates: readonly RoundUpdate[],
  value: (update: RoundUpdate) => number | undefined,
): number[] {
  const told = updates.map(value).filter((number) => number !== undefined);
  return [...new Set(told)].sort((a, b) => a - b);
}

/** A round class width that needs at most {@link MAX_CLASSES} classes. */
function niceWidth(most: number): number {
  return [0.02, 0.05, 0.1, 0.2].find((width) => most <= width * MAX_CLASSES + 1e-9) ?? 0.2;
}
