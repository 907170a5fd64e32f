/** From the chart library's drawing to ours: its colours become tones of the page, and what only its scripts use goes. */
import { tones, type Tone } from "./tones.ts";

/** The tones in the order of their stand-ins. */
const order = Object.keys(tones) as Tone[];

/** The library wants real colours: each tone gets one that means nothing else, and loses it in {@link tidySvg}. */
export function standIn(tone: Tone): string {
  return `#0bad${order.indexOf(tone).toString(16).padStart(2, "0")}`;
}

/** Replaces stand-in colours by tones and drops what only a browser with the library's scripts would use. */
export function tidySvg(svg: string, title: string, widthPx: number): string {
  // Unique in a page that holds a chart once per width.
  const clip = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${widthPx}`;
  const label = title.replace(/[^\w,.%()-]+/g, " ").trim();
  return svg
    .replace(/<style ?>.*?<\/style>/s, "")
    .replace(/ (?:class|pointer-events|ecmeta_\w+)="[^"]*"/g, "")
    .replace(/ (?:xmlns:xlink|version|baseProfile)="[^"]*"/g, "")
    .replace(/zr\d+-c(\d+)/g, `${clip}-$1`)
    .replace(
      /<(\w+) [^>]*(?:fill="none"|fill-opacity="0"(?: stroke="[^"]*" stroke-width="0")?)><\/\1>\n?/g,
      "",
    )
    .replace(/fill="#000"/g, 'fill="none"')
    .replace(
      /(fill|stroke)="#0bad([0-9a-f]{2})"/g,
      (_, attribute: string, index: string) => `${attribute}="var(--${toneAt(index)})"`,
    )
    .replace(/ (?:d|points|transform)="[^"]*"/g, (path) => path.replace(/(\.\d\d)\d+/g, "$1"))
    .replace("<svg ", `<svg role="img" aria-label="${label}" `);
}

function toneAt(index: string): Tone {
  return order[Number.parseInt(index, 16)] ?? "ink";
}
