/** A drawn chart as a file of its own: with its colours, and a ground to stand on. */
import { toneDeclarations } from "./tones.ts";

/** The SVG with the tones of both schemes and a background, as a viewer of image files needs it. */
export function standaloneSvg(svg: string): string {
  const style =
    `<style>svg{--ground:#fff;${toneDeclarations("light")}font-family:system-ui,sans-serif}` +
    `@media (prefers-color-scheme:dark){svg{--ground:#161e27;${toneDeclarations("dark")}}}</style>`;
  const ground = `<rect width="100%" height="100%" fill="var(--ground)"/>`;
  return `${svg.replace(/^<svg [^>]*>\n?/, (open) => `${open}${style}${ground}\n`)}\n`;
}
