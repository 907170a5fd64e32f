/** What the chart library has to be told for each kind of plot. */
import type { Axis, BarPlot, HeatPlot, LinePlot, Plot, Size } from "./plot.ts";
import { standIn } from "./svg-tones.ts";
import type { Tone } from "./tones.ts";

/** Small text at axes. */
const LABEL = { color: standIn("muted"), fontFamily: "inherit", fontSize: 12 };

/** The options of the chart library for a plot, with stand-ins for its colours. */
export function optionOf(plot: Plot, size: Size): Record<string, unknown> {
  const common = { animation: false, textStyle: { fontFamily: "inherit" } };
  switch (plot.kind) {
    case "lines":
      return { ...common, ...lineOption(plot, size) };
    case "bars":
      return { ...common, ...barOption(plot, size) };
    case "heat":
      return { ...common, ...heatOption(plot, size) };
  }
}

function lineOption({ x, y, lines }: LinePlot, size: Size): Record<string, unknown> {
  const isCrowded = lines.some(({ points }) => points.length > 40);
  return {
    ...frame(
      x,
      y,
      size,
      lines.map(({ name }) => name),
    ),
    series: lines.flatMap(({ name, tone, points, isDashed, spread }) => [
      ...(spread === undefined ? [] : [spreadSeries(tone, spread)]),
      {
        type: "line",
        name,
        data: points.map(([at, value]) => [at, value ?? "-"]),
        color: standIn(tone),
        symbol: "circle",
        symbolSize: 5,
        showSymbol: !isCrowded,
        lineStyle: { width: 2, type: isDashed === true ? [6, 4] : "solid" },
      },
    ]),
  };
}

/** The area between a low and a high end, one polygon. */
function spreadSeries(
  tone: Tone,
  spread: readonly (readonly [at: number, low: number, high: number])[],
): Record<string, unknown> {
  return {
    type: "custom",
    silent: true,
    clip: true,
    data: spread.flatMap(([at, low, high]) => [
      [at, low],
      [at, high],
    ]),
    // Called for every datum, which the axes follow; one polygon is enough.
    renderItem: ({ dataIndex }: { dataIndex: number }, api: Pick<CellApi, "coord">) =>
      dataIndex > 0
        ? null
        : {
            type: "polygon",
            shape: {
              points: [
                ...spread.map(([at, , high]) => api.coord([at, high])),
                ...spread.map(([at, low]) => api.coord([at, low])).reverse(),
              ],
            },
            style: { fill: standIn(tone), opacity: 0.15 },
          },
  };
}

function barOption({ x, y, stacks }: BarPlot, size: Size): Record<string, unknown> {
  return {
    ...frame(
      { name: x.name, categories: x.categories },
      y,
      size,
      stacks.map(({ name }) => name),
    ),
    series: stacks.map(({ name, tone, values }) => ({
      type: "bar",
      stack: "one",
      name,
      data: values,
      color: standIn(tone),
      barCategoryGap: "25%",
      barMaxWidth: 36,
    })),
  };
}

/** One series per class, so that the legend is the one of all charts. */
function heatOption({ x, y, classes, cells }: HeatPlot, size: Size): Record<string, unknown> {
  const names = classes.map(({ label }) => label);
  const { legend, grid, xAxis } = frame(x, y, size, names, 1);
  return {
    legend,
    // No name stands above this vertical axis.
    grid: { ...grid, top: grid.top - 14 },
    xAxis,
    yAxis: {
      ...axisOption(y),
      // The first device stands on top.
      inverse: true,
      axisLabel: { ...LABEL, width: 0.32 * size.widthPx, overflow: "truncate" },
    },
    series: classes.map(({ label, tone }, classIndex) => ({
      type: "custom",
      name: label,
      color: standIn(tone),
      data: cells.filter(([, , index]) => index === classIndex),
      renderItem: (_: unknown, api: CellApi) => {
        const [left = 0, top = 0] = api.coord([api.value(0), api.value(1)]);
        const [width = 0, height = 0] = api.size([1, 1]);
        const gap = Math.min(1, 0.1 * width, 0.1 * height);
        const shape = {
          ...{ x: left - width / 2, y: top - height / 2 },
          ...{ width: width - gap, height: height - gap },
        };
        return { type: "rect", shape, style: { fill: standIn(tone) } };
      },
    })),
  };
}

interface CellApi {
  readonly value: (dimension: number) => number;
  readonly coord: (point: number[]) => number[];
  readonly size: (extent: number[]) => number[];
}

/** Grid, axes and, from `fewest` series on, a legend; the name of the vertical scale stands above it. */
function frame(
  x: Axis,
  y: Axis,
  { widthPx }: Size,
  names: readonly string[],
  fewest = 2,
): Record<string, unknown> & { readonly grid: Record<string, unknown> & { readonly top: number } } {
  const hasLegend = names.length >= fewest;
  const numRows = hasLegend ? legendRows(names, widthPx) : 0;
  return {
    grid: {
      left: 8,
      right: 16,
      top: 28 + 22 * numRows,
      bottom: 24,
      outerBoundsMode: "same",
      outerBoundsContain: "axisLabel",
    },
    legend: {
      show: hasLegend,
      ...{ top: 2, left: 0, padding: 0, itemWidth: 22, itemHeight: 9, itemGap: 14 },
      textStyle: { ...LABEL, color: standIn("ink") },
    },
    xAxis: { ...axisOption(x), ...nameBelow(x.name) },
    yAxis: {
      ...axisOption(y),
      name: y.name,
      nameTextStyle: { ...LABEL, align: "left" },
      nameGap: 10,
    },
  };
}

/** Rows that the entries of a legend take: about 7 px a character, and the marker with its gaps. */
function legendRows(names: readonly string[], widthPx: number): number {
  let rows = 1;
  let usedPx = 0;
  for (const name of names) {
    const entryPx = 45 + 7 * name.length;
    if (usedPx > 0 && usedPx + entryPx > widthPx) {
      rows++;
      usedPx = 0;
    }
    usedPx += entryPx;
  }
  return rows;
}

function nameBelow(name: string): Record<string, unknown> {
  return { name, nameLocation: "middle", nameGap: 28, nameTextStyle: LABEL };
}

function axisOption(axis: Axis): Record<string, unknown> {
  const line = { lineStyle: { color: standIn("muted") } };
  const shared = {
    axisLine: { show: true, ...line },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: standIn("grid") } },
  };
  if (axis.categories !== undefined) {
    return {
      ...shared,
      type: "category",
      data: axis.categories,
      splitLine: { show: false },
      axisLabel: { ...LABEL, hideOverlap: true },
    };
  }
  const { min, max, text, isWhole } = axis;
  const interval = isWhole === true && max !== undefined ? wholeInterval(max) : undefined;
  return {
    ...shared,
    type: axis.isLog === true ? "log" : "value",
    scale: axis.isFitted === true,
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(interval === undefined ? {} : { interval }),
    axisLabel: {
      ...LABEL,
      hideOverlap: true,
      ...(text === undefined ? {} : { formatter: text }),
      // The end of the axis has a label only where it is one of the regular ones.
      ...(interval === undefined ? {} : { showMaxLabel: (max ?? 0) % interval === 0 }),
    },
  };
}

/** A round distance that makes about six labels of whole numbers up to `max`. */
function wholeInterval(max: number): number {
  const least = max / 6;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10);
}
