/** Draws plots as SVG text without a browser; the only file that knows the chart library. */
import { FedspineError, ExitCode } from "../base/errors.ts";
import { optionOf } from "./chart-options.ts";
import type { Plot, Size } from "./plot.ts";
import { tidySvg } from "./svg-tones.ts";

/** Draws one plot. The SVG has no colour of its own but `var(--<tone>)`, and no script. */
export type DrawPlot = (plot: Plot, size: Size) => string;

/** Loads the chart library, an optional dependency. Throws FedspineError with a hint when it is not installed. */
export async function openCharts(): Promise<DrawPlot> {
  const { init } = await loadLibrary();
  return (plot, { widthPx, heightPx }) => {
    const chart = init(null, null, {
      renderer: "svg",
      ssr: true,
      width: widthPx,
      height: heightPx,
    });
    try {
      chart.setOption(optionOf(plot, { widthPx, heightPx }));
      return tidySvg(chart.renderToSVGString(), plot.title, widthPx);
    } finally {
      chart.dispose();
    }
  };
}

async function loadLibrary(): Promise<typeof import("echarts/core")> {
  try {
    const [core, charts, components, renderers] = await Promise.all([
      import("echarts/core"),
      import("echarts/charts"),
      import("echarts/components"),
      import("echarts/renderers"),
    ]);
    core.setPlatformAPI({ measureText });
    const { BarChart, CustomChart, LineChart } = charts;
    const { GridComponent, LegendComponent } = components;
    core.use([BarChart, CustomChart, LineChart, GridComponent, LegendComponent]);
    core.use([renderers.SVGRenderer]);
    return core;
  } catch (cause) {
    throw new FedspineError(
      "charts need the package echarts, which is not installed",
      { cause, hint: "npm install --no-save echarts" },
      ExitCode.unavailable,
    );
  }
}

/** Without a browser there is no font to ask: letters of a wide one, so that nothing overlaps in a narrow one. */
function measureText(text: string, font?: string): { width: number } {
  const sizePx = Number.parseFloat(/[\d.]+(?=px)/.exec(font ?? "")?.[0] ?? "12");
  return { width: 0.6 * sizePx * text.length };
}
