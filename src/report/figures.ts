/** The charts of a run: which there are, what each shows, and the sentence below it. */
import type { Axis, Line, LinePlot, Plot } from "./plot.ts";
import { meanOf, type RoundFacts, type RoundUpdate, type RunFacts } from "./rounds.ts";
import { heatOf } from "./heat.ts";
import type { Tone } from "./tones.ts";

/** A chart and the words around it; a table of coloured cells says how many rows it has. */
export interface Figure {
  readonly heading: string;
  readonly caption: string;
  readonly plot: Plot;
  readonly rows?: number;
}

/** Every chart that the run has something to show in. */
export function figuresOf(facts: RunFacts): Figure[] {
  return [
    accuracyByRound(facts),
    accuracyByTime(facts),
    sparsityByRound(facts),
    discardedEnergy(facts),
    ...heatOf(facts),
    savingsByRound(facts),
    timePerRound(facts),
    trafficPerRound(facts),
  ].filter((figure) => figure !== null);
}

/** Two digits, however small. */
function shortPercent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

const percentAxis = { min: 0, text: (value: number): string => `${Math.round(100 * value)} %` };

function roundAxis({ rounds }: RunFacts): Axis {
  return { name: "round", isWhole: true, min: 0, max: rounds.at(-1)?.round ?? 1 };
}

function accuracyLines(
  { scores }: RunFacts,
  at: (score: (typeof scores)[number]) => number,
): Line[] {
  const line = (name: string, tone: Tone, value: (score: (typeof scores)[number]) => number) => ({
    name,
    tone,
    points: scores.map((score) => [at(score), value(score)] as const),
  });
  const isByDevice = scores.some(({ worst }) => worst !== null);
  if (!isByDevice) {
    return [
      line("accuracy", "series-1", ({ accuracy }) => accuracy),
      { ...line("macro-F1", "series-8", ({ macroF1 }) => macroF1), isDashed: true },
    ];
  }
  return [
    line("mean over devices", "series-1", ({ accuracy }) => accuracy),
    line("worst device", "series-2", ({ accuracy, worst }) => worst?.accuracy ?? accuracy),
  ];
}

function accuracyByRound(facts: RunFacts): Figure | null {
  if (facts.scores.length === 0) return null;
  return {
    heading: "Accuracy by round",
    caption:
      "The global adapter on held-out examples, on the devices' own models once these are pruned; " +
      "round 0 is before training.",
    plot: {
      kind: "lines",
      title: "Accuracy by round",
      x: roundAxis(facts),
      y: { ...percentAxis, name: "share of held-out examples" },
      lines: accuracyLines(facts, ({ round }) => round),
    },
  };
}

function accuracyByTime(facts: RunFacts): Figure | null {
  if (facts.scores.length < 2) return null;
  const { unitMs, name } = timeUnit(facts.durationMs);
  return {
    heading: "Accuracy over time",
    caption: "The same scores against the time since the start of the run.",
    plot: {
      kind: "lines",
      title: "Accuracy over time",
      x: { name, min: 0, max: Math.ceil(facts.durationMs / unitMs) },
      y: { ...percentAxis, name: "share of held-out examples" },
      lines: accuracyLines(facts, ({ atMs }) => atMs / unitMs),
    },
  };
}

/** Lowest, mean and highest sparsity among the devices of each round. */
function sparsityByRound(facts: RunFacts): Figure | null {
  const { rounds } = facts;
  const told = rounds.flatMap(({ round, updates }) => {
    const values = updates.flatMap(({ sparsity }) => (sparsity === undefined ? [] : [sparsity]));
    return values.length === 0 ? [] : [{ round, values }];
  });
  if (!told.some(({ values }) => values.some((value) => value > 0))) return null;
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    heading: "Sparsity by round",
    caption:
      "Share of the parameters of the blocks' linear layers that is gone: mean over the round's devices, " +
      "and the range from the least to the most pruned one.",
    plot: {
      kind: "lines",
      title: "Sparsity by round",
      x: roundAxis(facts),
      y: { ...percentAxis, name: "of the body's parameters" },
      lines: [
        {
          name: "sparsity",
          tone: "series-1",
          points: told.map(({ round, values }) => [round, mean(values)]),
          spread: told.map(({ round, values }) => [
            round,
            Math.min(...values),
            Math.max(...values),
          ]),
        },
      ],
    },
  };
}

/** Step time and memory against those of the same device in its first round. */
function savingsByRound(facts: RunFacts): Figure | null {
  const updates = facts.rounds.flatMap((round) => round.updates);
  if (!updates.some(({ sparsity = 0 }) => sparsity > 0)) return null;
  const first = new Map<string, RoundUpdate>();
  for (const update of updates) {
    if (!first.has(update.device)) first.set(update.device, update);
  }
  const shareOf =
    (value: (update: RoundUpdate) => number | undefined) =>
    (update: RoundUpdate): number | undefined => {
      const before = first.get(update.device);
      const [now, then] = [value(update), before === undefined ? undefined : value(before)];
      return now === undefined || then === undefined || then === 0 ? undefined : now / then;
    };
  const line = (name: string, tone: Tone, value: (update: RoundUpdate) => number | undefined) => ({
    ...{ name, tone },
    points: facts.rounds.map(
      (round) => [round.round, meanOf(round.updates, shareOf(value))] as const,
    ),
  });
  return {
    heading: "Step time and memory by round",
    caption:
      "Mean over the round's devices, each measured against its own first round: " +
      "duration of a training step, and what the tensor engine holds at its peak.",
    plot: {
      kind: "lines",
      title: "Step time and memory by round",
      x: roundAxis(facts),
      y: { ...percentAxis, name: "of the device's first round" },
      lines: [
        line("step time", "series-1", ({ stepMs }) => stepMs),
        line("memory", "series-3", ({ peakBytes }) => peakBytes),
      ],
    },
  };
}

function timePerRound({ rounds }: RunFacts): Figure | null {
  const merged = rounds.filter(({ updates }) => updates.length > 0);
  if (merged.length === 0) return null;
  const longestMs = Math.max(
    ...merged.flatMap(({ updates }) => updates.map(({ completionMs }) => completionMs)),
  );
  const { unitMs, unit } = timeUnit(longestMs);
  const values = (value: (update: RoundFacts["updates"][number]) => number): (number | null)[] =>
    merged.map(({ updates }) => inUnit(meanOf(updates, value), unitMs));
  return {
    heading: "Time of a device per round",
    caption:
      "Means over the devices of the round. A bar ends where the slowest of them is done; " +
      "waiting is what the others spend until then.",
    plot: {
      kind: "bars",
      title: "Time of a device per round",
      x: { name: "round", categories: merged.map(({ round }) => String(round)) },
      y: { name: `${unit} per round` },
      stacks: [
        { name: "download", tone: "series-3", values: values(({ downloadMs }) => downloadMs) },
        { name: "training", tone: "series-1", values: values(({ trainMs }) => trainMs) },
        { name: "upload", tone: "series-5", values: values(({ uploadMs }) => uploadMs) },
        { name: "waiting", tone: "grid", values: values(({ waitingMs }) => waitingMs) },
      ],
    },
  };
}

function trafficPerRound(facts: RunFacts): Figure | null {
  const merged = facts.rounds.filter(({ updates }) => updates.length > 0);
  if (merged.length === 0) return null;
  const up = merged.map(({ updates }) => meanOf(updates, ({ updateBytes }) => updateBytes));
  const down = merged.map(({ updates }) => meanOf(updates, ({ bytesDown }) => bytesDown));
  const most = Math.max(...[...up, ...down].map((bytes) => bytes ?? 0));
  const [unitBytes, unit] = most >= 1e6 ? [1e6, "MB"] : [1e3, "KB"];
  const points = (values: readonly (number | null)[]): Line["points"] =>
    merged.map(({ round }, i) => [round, inUnit(values[i] ?? null, unitBytes)]);
  const lines: Line[] = [{ name: "up", tone: "series-5", points: points(up) }];
  if (down.some((bytes) => bytes !== null)) {
    lines.push({ name: "down", tone: "series-3", points: points(down) });
  }
  return {
    heading: "Traffic of a device per round",
    caption:
      "Mean over the devices of the round: the update on its way up, and what was fetched for it. " +
      "The base model travels once, so the first rounds of a device weigh more.",
    plot: {
      kind: "lines",
      title: "Traffic of a device per round",
      x: roundAxis(facts),
      y: { name: `${unit} per device`, min: 0 },
      lines,
    },
  };
}

function discardedEnergy(facts: RunFacts): Figure | null {
  const merged = facts.rounds.filter(({ discardedEnergy }) => discardedEnergy !== null);
  if (merged.length === 0) return null;
  const plot: LinePlot = {
    kind: "lines",
    title: "Discarded energy",
    x: roundAxis(facts),
    y: { name: "of the squared norm of the mean update", min: 0, text: shortPercent },
    lines: [
      {
        name: "discarded energy",
        tone: "series-2",
        points: merged.map(({ round, discardedEnergy }) => [round, discardedEnergy]),
      },
    ],
  };
  return {
    heading: "Discarded energy",
    caption: "What of the merged update did not fit into the rank of the global adapter.",
    plot,
  };
}

function inUnit(value: number | null, unit: number): number | null {
  return value === null ? null : value / unit;
}

/** The unit in which a duration has one to three digits. */
export function timeUnit(durationMs: number): { unitMs: number; unit: string; name: string } {
  const units = [
    { unitMs: 3_600_000, unit: "hours" },
    { unitMs: 60_000, unit: "minutes" },
    { unitMs: 1000, unit: "seconds" },
  ];
  const chosen = units.find(({ unitMs }) => durationMs >= 2 * unitMs) ?? {
    unitMs: 1,
    unit: "milliseconds",
  };
  return { ...chosen, name: `${chosen.unit} since the start` };
}
