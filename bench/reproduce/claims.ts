/** What the paper claims, and whether the results say the same. */
import { blockTarget, type BlockResults } from "./block-results.ts";
import { methods, type Role } from "./methods.ts";
import { rowMetrics, summaryOf } from "./metrics.ts";
import type { Measurement } from "./measure.ts";

export type Verdict = "reproduced" | "not reproduced" | "not measured";

export interface ClaimCheck {
  /** As the abstract, or a reader's summary of the paper, has it. */
  readonly claim: string;
  readonly paper: string;
  readonly measured: string;
  readonly verdict: Verdict;
  /** What the verdict asks for, and from what it was computed. */
  readonly how: string;
}

/** One of ours against one baseline in one block. */
export interface Comparison {
  readonly blockId: string;
  readonly methodId: string;
  readonly method: string;
  readonly baseline: string;
  /** Baseline's time over ours, to the block's target; null when either never reaches it. */
  readonly speedUp: number | null;
  /** Final accuracy in points: our mean less the baseline's. */
  readonly points: number | null;
  /** Standard deviation of that difference over the seeds, taken as independent. */
  readonly pointsSd: number;
}

/** Each of ours beside every pruning baseline, in every block of methods that has results for both. */
export function comparisons(blocks: readonly BlockResults[]): Comparison[] {
  return blocks.flatMap((results) => {
    const { block, rows } = results;
    if (block.kind !== "methods") return [];
    const target = blockTarget(results);
    const withRole = (role: Role): typeof rows =>
      rows.filter(
        ({ id, traces }) =>
          traces.length > 0 && methods.some((method) => method.id === id && method.role === role),
      );
    return withRole("ours").flatMap((ours) =>
      withRole("baseline").map((baseline) => compared(block.id, ours, baseline, target)),
    );
  });
}

type Row = BlockResults["rows"][number];

function compared(blockId: string, ours: Row, baseline: Row, target: number | null): Comparison {
  const [own, theirs] = [rowMetrics(ours.traces, target), rowMetrics(baseline.traces, target)];
  const [ownTime, theirTime] = [own.toTarget.timeMs, theirs.toTarget.timeMs];
  const [ownEnd, theirEnd] = [own.accuracy, theirs.accuracy];
  return {
    ...{ blockId, methodId: ours.id, method: ours.name, baseline: baseline.name },
    speedUp: ownTime === null || theirTime === null ? null : theirTime.mean / ownTime.mean,
    points: ownEnd === null || theirEnd === null ? null : 100 * (ownEnd.mean - theirEnd.mean),
    pointsSd: 100 * Math.hypot(ownEnd?.sd ?? 0, theirEnd?.sd ?? 0),
  };
}

/** Every claim with its verdict. */
export function checkClaims(
  blocks: readonly BlockResults[],
  measurements: readonly Measurement[],
): ClaimCheck[] {
  const ours = comparisons(blocks).filter(({ methodId }) => methodId === methods[0]?.id);
  return [
    speedClaim(ours),
    accuracyClaim(ours),
    measuredClaim(measurements, {
      claim: "Inference time at 50 % sparsity, of the unpruned reference's",
      paperPercent: 51.4,
      value: ({ inferenceShare }) => inferenceShare,
      how: "a model of RoBERTa-base's body: median of forward passes in turns with the unpruned model",
    }),
    measuredClaim(measurements, {
      claim: "Training memory at 50 % sparsity, of the unpruned reference's",
      paperPercent: 114.5,
      value: ({ memoryShare }) => memoryShare,
      how: "the same model: most resident memory of a process that trains as a device does, base included",
    }),
    intervalClaim(blocks),
  ];
}

function speedClaim(ours: readonly Comparison[]): ClaimCheck {
  const speedUps = ours.flatMap(({ speedUp }) => speedUp ?? []);
  return {
    claim: "Faster fine-tuning to a target than pruning baselines",
    paper: "1.4x to 6.9x",
    measured:
      speedUps.length === 0
        ? ""
        : `${extremes(speedUps, (x) => `${x.toFixed(2)}x`)}, median ${median(speedUps).toFixed(2)}x; ` +
          `at least 1.4x in ${countOf(speedUps, 1.4)}`,
    verdict: verdictOf(speedUps, (least) => least >= 1.4),
    how:
      "virtual time until the smoothed accuracy stays above what all methods of the block reach; " +
      "reproduced if the smallest ratio is at least 1.4",
  };
}

function accuracyClaim(ours: readonly Comparison[]): ClaimCheck {
  const points = ours.flatMap(({ points }) => points ?? []);
  const spread = Math.max(0, ...ours.map(({ pointsSd }) => pointsSd));
  return {
    claim: "Higher final accuracy than pruning baselines at equal sparsity",
    paper: "+0.4 to +4.5 points",
    measured:
      points.length === 0
        ? ""
        : `${extremes(points, signed)} points, median ${signed(median(points))}; ` +
          `at least +0.4 in ${countOf(points, 0.4)}; spread over seeds up to ${spread.toFixed(1)}`,
    verdict: verdictOf(points, (least) => least >= 0.4),
    how: "difference of means over seeds; reproduced if the smallest is at least 0.4",
  };
}

function measuredClaim(
  measurements: readonly Measurement[],
  {
    claim,
    paperPercent,
    value,
    how,
  }: {
    claim: string;
    paperPercent: number;
    value: (measurement: Measurement) => number;
    how: string;
  },
): ClaimCheck {
  const shares = measurements
    .filter(({ sparsity, isPaperSized }) => sparsity === 0.5 && isPaperSized)
    .map(value);
  const most = Math.max(...shares);
  return {
    claim,
    paper: `${paperPercent} %`,
    measured: shares.length === 0 ? "" : `${(100 * most).toFixed(1)} %`,
    verdict: verdictOf(shares, () => 100 * most <= paperPercent),
    how: `${how}; reproduced if it is not above the paper's`,
  };
}

/** The paper's ablation has 20 local steps between prunings as the best of the values that it tried. */
function intervalClaim(blocks: readonly BlockResults[]): ClaimCheck {
  const perBlock = blocks.flatMap(({ block, rows }) => {
    if (!block.id.endsWith("-interval")) return [];
    const ends = rows.flatMap(({ id, name, traces }) => {
      const accuracy = summaryOf(traces.flatMap(({ points }) => points.at(-1)?.accuracy ?? []));
      return accuracy === null ? [] : [{ id, name, accuracy: accuracy.mean }];
    });
    if (ends.length < 2 || !ends.some(({ id }) => id === "steps-20")) return [];
    const best = ends.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
    return [{ dataset: block.dataset, best }];
  });
  return {
    claim: "20 local steps between two prunings are best",
    paper: "best of the values tried",
    measured: perBlock.map(({ dataset, best }) => `${dataset}: ${best.name}`).join(", "),
    verdict:
      perBlock.length === 0
        ? "not measured"
        : perBlock.every(({ best }) => best.id === "steps-20")
          ? "reproduced"
          : "not reproduced",
    how: "highest mean final accuracy with the same number of steps in all, on every data set",
  };
}

function verdictOf(values: readonly number[], holds: (least: number) => boolean): Verdict {
  if (values.length === 0) return "not measured";
  return holds(Math.min(...values)) ? "reproduced" : "not reproduced";
}

function countOf(values: readonly number[], least: number): string {
  return `${values.filter((value) => value >= least).length} of ${values.length} comparisons`;
}

function extremes(values: readonly number[], text: (value: number) => string): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? text(least) : `${text(least)} to ${text(most)}`;
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : "-"}${Math.abs(value).toFixed(1)}`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2;
}
