/** Results as charts: accuracy over virtual time, and final accuracy over sparsity and over skew. */
import type { DrawPlot } from "../../src/report/chart.ts";
import type { Axis, Line, LinePlot } from "../../src/report/plot.ts";
import { standaloneSvg } from "../../src/report/standalone-svg.ts";
import type { Tone } from "../../src/report/tones.ts";
import type { BlockResults } from "./block-results.ts";
import { methods, type Method } from "./methods.ts";
import { rowMetrics, smoothed, summaryOf } from "./metrics.ts";
import type { Trace } from "./trace.ts";

export interface PlotFile {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** Ours in strong colours, references in grey, controls dashed. */
const looks: Readonly<Record<string, { readonly tone: Tone; readonly isDashed?: boolean }>> = {
  fedspine: { tone: "series-2" },
  hybrid: { tone: "series-1" },
  "het-lora": { tone: "series-8" },
  "fed-it": { tone: "series-8", isDashed: true },
  "lora-prune": { tone: "series-3" },
  "prune-once": { tone: "series-4" },
  "fed-mp": { tone: "series-5" },
  "random-units": { tone: "series-7", isDashed: true },
  static: { tone: "series-6", isDashed: true },
};

const accuracyAxis: Axis = {
  name: "mean accuracy over devices",
  isFitted: true,
  text: (value) => `${Math.round(100 * value)} %`,
};

const SIZE = { widthPx: 760, heightPx: 420 };

/** All charts that there are results for. */
export function plotFiles(blocks: readonly BlockResults[], draw: DrawPlot): PlotFile[] {
  const withMethods = blocks.filter(({ block }) => block.kind === "methods");
  const datasets = [...new Set(withMethods.map(({ block }) => block.dataset))];
  const plots = [
    ...withMethods.flatMap((results) => curvePlot(results) ?? []),
    ...datasets.flatMap((dataset) => {
      const own = withMethods.filter(({ block }) => block.dataset === dataset);
      const [centre] = own;
      if (centre === undefined) return [];
      const { alpha, sparsity } = centre.block;
      return [
        endsPlot(
          own.filter(({ block }) => block.alpha === alpha),
          {
            name: `${dataset}-sparsity`,
            title: `Final accuracy by sparsity, ${dataset}, Dirichlet ${alpha}`,
            x: { name: "body sparsity", text: (value) => `${Math.round(100 * value)} %` },
            at: ({ block }) => block.sparsity,
          },
        ),
        endsPlot(
          own.filter(({ block }) => block.sparsity === sparsity),
          {
            name: `${dataset}-alpha`,
            title: `Final accuracy by skew, ${dataset}, ${100 * sparsity} % sparsity`,
            x: { name: "Dirichlet alpha, smaller is more skewed", isLog: true },
            at: ({ block }) => block.alpha,
          },
        ),
      ].filter((plot) => plot !== null);
    }),
  ];
  return plots.map(({ name, plot }) => {
    return { name, title: plot.title, svg: standaloneSvg(draw, plot, SIZE) };
  });
}

interface NamedPlot {
  readonly name: string;
  readonly plot: LinePlot;
}

/** Mean curve of every method with the range of its seeds. */
function curvePlot({ block, rows }: BlockResults): NamedPlot | null {
  const lines = methods.flatMap((method) => {
    const traces = rows.find(({ id }) => id === method.id)?.traces ?? [];
    return traces.length === 0 ? [] : [curveLine(method, traces)];
  });
  if (lines.length === 0) return null;
  const { dataset, alpha, sparsity } = block;
  return {
    name: `${block.id}-curve`,
    plot: {
      kind: "lines",
      title: `Accuracy over time, ${dataset}, Dirichlet ${alpha}, ${100 * sparsity} % sparsity`,
      x: { name: "hours of the simulated fleet", min: 0 },
      y: accuracyAxis,
      lines,
    },
  };
}

const HOUR_MS = 3_600_000;

function curveLine({ id, name }: Method, traces: readonly Trace[]): Line {
  const curves = traces.map(({ points }) => smoothed(points));
  const length = Math.min(...curves.map((curve) => curve.length));
  const steps = Array.from({ length }, (_, i) => {
    const here = curves.flatMap((curve) => curve[i] ?? []);
    const accuracies = here.map(({ accuracy }) => accuracy);
    const hours = (summaryOf(here.map(({ timeMs }) => timeMs))?.mean ?? 0) / HOUR_MS;
    return { hours, accuracies, mean: summaryOf(accuracies)?.mean ?? 0 };
  });
  return {
    name,
    ...(looks[id] ?? { tone: "muted" }),
    points: steps.map(({ hours, mean }) => [hours, mean]),
    ...(traces.length > 1
      ? {
          spread: steps.map(({ hours, accuracies }) => [
            hours,
            Math.min(...accuracies),
            Math.max(...accuracies),
          ]),
        }
      : {}),
  };
}

/** Final accuracy of every method over what differs between blocks; null where nothing differs. */
function endsPlot(
  blocks: readonly BlockResults[],
  {
    name,
    title,
    x,
    at,
  }: {
    name: string;
    title: string;
    x: LinePlot["x"];
    at: (results: BlockResults) => number;
  },
): NamedPlot | null {
  const ordered = [...blocks]
    .filter(({ rows }) => rows.some(({ traces }) => traces.length > 0))
    .sort((a, b) => at(a) - at(b));
  if (ordered.length < 2) return null;
  const lines = methods.flatMap(({ id, name: label }): Line[] => {
    const points = ordered.flatMap((results): (readonly [number, number])[] => {
      const traces = results.rows.find((row) => row.id === id)?.traces ?? [];
      const accuracy = rowMetrics(traces, null).accuracy;
      return accuracy === null ? [] : [[at(results), accuracy.mean]];
    });
    return points.length === 0
      ? []
      : [{ name: label, ...(looks[id] ?? { tone: "muted" }), points }];
  });
  const [first, last] = [ordered[0], ordered.at(-1)];
  const ends = first === undefined || last === undefined ? {} : { min: at(first), max: at(last) };
  return { name, plot: { kind: "lines", title, x: { ...x, ...ends }, y: accuracyAxis, lines } };
}
