/** The colours of charts by role: custom properties of the page, so that light and dark differ in one place. */

type Step = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** "series-n" tell lines apart; the ramps go from little to much by lightness, blue for shares and green for sizes. */
export type Tone =
  | "ink"
  | "muted"
  | "grid"
  | `series-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}`
  | `blue-${Step}`
  | `green-${Step}`;

/** Light and dark value of every tone; the series follow Okabe and Ito (2008), readable for the colour-blind. */
export const tones: Readonly<Record<Tone, readonly [light: string, dark: string]>> = {
  ink: ["#1d2733", "#e6ebf1"],
  muted: ["#5b6775", "#9aa7b5"],
  grid: ["#dfe4ea", "#2d3743"],
  "series-1": ["#0072b2", "#56b4e9"],
  "series-2": ["#d55e00", "#f28e4b"],
  "series-3": ["#00805d", "#33c79c"],
  "series-4": ["#b4558c", "#e39cc5"],
  "series-5": ["#b37a00", "#f0b93a"],
  "series-6": ["#4b4fb3", "#a3a7f5"],
  "series-7": ["#6f7a10", "#c9d35a"],
  "series-8": ["#5b6775", "#9aa7b5"],
  "blue-0": ["#d5e5f3", "#233f58"],
  "blue-1": ["#b9d4ea", "#254d6e"],
  "blue-2": ["#97c1e2", "#2a5f86"],
  "blue-3": ["#64a3d1", "#2c6f9e"],
  "blue-4": ["#3582ba", "#438fc2"],
  "blue-5": ["#15609b", "#78b4de"],
  "blue-6": ["#083c6e", "#c0ddf3"],
  "green-0": ["#d2eae0", "#1d463c"],
  "green-1": ["#b2dccb", "#205748"],
  "green-2": ["#8acbb3", "#1f6453"],
  "green-3": ["#52ae91", "#2b826d"],
  "green-4": ["#238c70", "#46a48b"],
  "green-5": ["#0c6a54", "#80c7b2"],
  "green-6": ["#06463a", "#c6e8dd"],
};

/** The class of a share in [0, 1] of a ramp's seven steps. */
export function rampStep(share: number): Step {
  return Math.max(0, Math.min(6, Math.round(6 * share))) as Step;
}

/** Declarations of all tones for one scheme, as CSS. */
export function toneDeclarations(scheme: "light" | "dark"): string {
  const index = scheme === "light" ? 0 : 1;
  return Object.entries(tones)
    .map(([tone, values]) => `--${tone}:${values[index]};`)
    .join("");
}
