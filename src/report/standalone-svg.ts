/** A chart as a file of its own: with its colours, and a ground to stand on. */
import type { DrawPlot } from "./chart.ts";
import type { Plot, Size } from "./plot.ts";
import { toneDeclarations } from "./tones.ts";

const MARGIN_PX = 16;

/** Draws a plot of that size, with a margin, on a background that follows the viewer's scheme. */
export function standaloneSvg(draw: DrawPlot, plot: Plot, size: Size): string {
  const [width, height] = [size.widthPx + 2 * MARGIN_PX, size.heightPx + 2 * MARGIN_PX];
  const style =
    `<style>svg{--ground:#fff;${toneDeclarations("light")}font-family:system-ui,sans-serif}` +
    `@media (prefers-color-scheme:dark){svg{--ground:#161e27;${toneDeclarations("dark")}}}</style>`;
  const chart = draw(plot, size).replace("<svg ", `<svg x="${MARGIN_PX}" y="${MARGIN_PX}" `);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}">\n${style}\n` +
    `<rect width="${width}" height="${height}" fill="var(--ground)"/>\n${chart}\n</svg>\n`
  );
}
