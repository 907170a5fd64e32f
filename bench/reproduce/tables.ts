/** Results as Markdown tables. */
import { byteText, durationText } from "../../src/base/quantity-text.ts";
import { blockTarget, type BlockResults } from "./block-results.ts";
import { comparisons, type ClaimCheck, type Comparison } from "./claims.ts";
import type { Measurement } from "./measure.ts";
import { rowMetrics, type Summary } from "./metrics.ts";

interface Column<Row> {
  readonly name: string;
  readonly cell: (row: Row) => string;
  readonly isText?: boolean;
}

/** A Markdown table, numbers to the right. */
export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map(({ name }) => name),
    ...rows.map((row) => columns.map(({ cell }) => cell(row).replaceAll("|", "\\|"))),
  ];
  const widths = columns.map((_, i) => Math.max(3, ...cells.map((line) => line[i]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    `| ${texts
      .map((text, i) => {
        const width = widths[i] ?? 0;
        return columns[i]?.isText === true ? text.padEnd(width) : text.padStart(width);
      })
      .join(" | ")} |`;
  const rule = widths.map((width, i) =>
    columns[i]?.isText === true ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  const [head = [], ...body] = cells;
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

/** One block: quality, time, traffic and work of every row. */
export function blockTable(results: BlockResults): string {
  const { rows } = results;
  const target = blockTarget(results);
  const measured = rows.map(({ name, traces, learningRate }) => ({
    ...{ name, learningRate },
    ...rowMetrics(traces, target),
  }));
  const isPartial = measured.some(({ numReached, numSeeds }) => numReached < numSeeds);
  const table = markdownTable(
    [
      { name: "", cell: ({ name }) => name, isText: true },
      { name: "accuracy %", cell: ({ accuracy }) => spread(accuracy, percentage) },
      { name: "worst device %", cell: ({ worst }) => spread(worst, percentage) },
      { name: "sparsity %", cell: ({ sparsity }) => spread(sparsity, percentage) },
      { name: "time to target", cell: ({ toTarget }) => middle(toTarget.timeMs, durationText) },
      { name: "bytes to target", cell: ({ toTarget }) => middle(toTarget.bytes, byteText) },
      { name: "TFLOP to target", cell: ({ toTarget }) => middle(toTarget.gflop, teraflop) },
      { name: "round", cell: ({ roundMs }) => middle(roundMs, durationText) },
      { name: "waiting", cell: ({ waitingMs }) => middle(waitingMs, durationText) },
      { name: "rate", cell: ({ learningRate }) => learningRate?.toExponential(0) ?? "" },
      { name: "seeds", cell: ({ numSeeds }) => String(numSeeds) },
      ...(isPartial
        ? [
            {
              name: "reached",
              cell: ({ numReached }: { readonly numReached: number }) => String(numReached),
            },
          ]
        : []),
    ],
    measured.filter(({ numSeeds }) => numSeeds > 0),
  );
  const sentence = target === null ? "" : `Target: ${percentage(target)} %.`;
  return `${sentence}\n\n${table}`;
}

/** Where a block stands in the grid, as a heading. */
export function blockHeading({ block }: BlockResults): string {
  const { title, dataset, alpha, sparsity } = block;
  return `${title}: ${dataset}, Dirichlet ${alpha}, ${100 * sparsity} % sparsity`;
}

/** Ours against each pruning baseline, a row per block: speed-up to the target, and points of final accuracy. */
export function comparisonTable(blocks: readonly BlockResults[]): string {
  const all = comparisons(blocks);
  const baselines = [...new Set(all.map(({ baseline }) => baseline))];
  const rows = new Map<string, Comparison[]>();
  for (const comparison of all) {
    const key = `${comparison.blockId} ${comparison.methodId}`;
    rows.set(key, [...(rows.get(key) ?? []), comparison]);
  }
  return markdownTable<readonly Comparison[]>(
    [
      { name: "block", cell: ([first]) => first?.blockId ?? "", isText: true },
      { name: "method", cell: ([first]) => first?.method ?? "", isText: true },
      ...baselines.map((name) => ({
        name,
        cell: (row: readonly Comparison[]) =>
          comparisonText(row.find(({ baseline }) => baseline === name)),
      })),
    ],
    [...rows.values()],
  );
}

function comparisonText(comparison: Comparison | undefined): string {
  if (comparison === undefined) return "";
  const { speedUp, points, pointsSd } = comparison;
  const times = speedUp === null ? "-" : `${speedUp.toFixed(2)}x`;
  if (points === null) return times;
  return `${times}, ${points > 0 ? "+" : ""}${points.toFixed(1)} ± ${pointsSd.toFixed(1)}`;
}

export function claimTable(checks: readonly ClaimCheck[]): string {
  return markdownTable<ClaimCheck>(
    [
      { name: "claim", cell: ({ claim }) => claim, isText: true },
      { name: "paper", cell: ({ paper }) => paper, isText: true },
      { name: "here", cell: ({ measured }) => measured, isText: true },
      { name: "verdict", cell: ({ verdict }) => verdict, isText: true },
      { name: "how", cell: ({ how }) => how, isText: true },
    ],
    checks,
  );
}

export function measurementTable(measurements: readonly Measurement[]): string {
  return markdownTable<Measurement>(
    [
      { name: "model", cell: ({ model }) => model, isText: true },
      { name: "sparsity %", cell: ({ sparsity }) => percentage(sparsity) },
      { name: "forward pass", cell: ({ inferenceMs }) => durationText(inferenceMs) },
      { name: "of unpruned %", cell: ({ inferenceShare }) => percentage(inferenceShare) },
      { name: "training memory", cell: ({ residentBytes }) => byteText(residentBytes) },
      { name: "of unpruned %", cell: ({ memoryShare }) => percentage(memoryShare) },
      { name: "engine while training", cell: ({ engineBytes }) => byteText(engineBytes) },
      { name: "of unpruned %", cell: ({ engineShare }) => percentage(engineShare) },
    ],
    measurements,
  );
}

function percentage(share: number): string {
  return (100 * share).toFixed(1);
}

function teraflop(gflop: number): string {
  return (gflop / 1000).toFixed(gflop < 10_000 ? 2 : 0);
}

/** Mean ± standard deviation, the latter only where there is more than one seed. */
function spread(summary: Summary | null, text: (value: number) => string): string {
  if (summary === null) return "";
  const { mean, sd, n } = summary;
  return n > 1 ? `${text(mean)} ± ${text(sd)}` : text(mean);
}

/** Costs: mean, and the standard deviation as a share of it, since their units change with their size. */
function middle(summary: Summary | null, text: (value: number) => string): string {
  if (summary === null) return "";
  const { mean, sd, n } = summary;
  return n > 1 && mean > 0 ? `${text(mean)} ± ${((100 * sd) / mean).toFixed(0)} %` : text(mean);
}
