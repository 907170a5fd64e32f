/** What a chart shows, as plain data: the page makes it, the drawing turns it into SVG. */
import type { Tone } from "./tones.ts";

export interface Axis {
  /** What is on it, with its unit. */
  readonly name: string;
  /** Names instead of numbers. */
  readonly categories?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Text of a number on the axis. */
  readonly text?: (value: number) => string;
  readonly isWhole?: boolean;
  readonly isLog?: boolean;
  /** As far as the values reach, and not from 0. */
  readonly isFitted?: boolean;
}

export interface Line {
  readonly name: string;
  readonly tone: Tone;
  /** Ascending in `at`; null leaves a gap. */
  readonly points: readonly (readonly [at: number, value: number | null])[];
  readonly isDashed?: boolean;
  /** The area around the line: lowest and highest value at each place. */
  readonly spread?: readonly (readonly [at: number, low: number, high: number])[];
}

interface Titled {
  /** Read out instead of the picture. */
  readonly title: string;
}

export interface LinePlot extends Titled {
  readonly kind: "lines";
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

/** Bars whose parts stand on each other. */
export interface BarPlot extends Titled {
  readonly kind: "bars";
  readonly x: Axis & { readonly categories: readonly string[] };
  readonly y: Axis;
  readonly stacks: readonly {
    readonly name: string;
    readonly tone: Tone;
    /** One per category. */
    readonly values: readonly (number | null)[];
  }[];
}

/** A table of coloured cells: rows from top to bottom, columns from left to right. */
export interface HeatPlot extends Titled {
  readonly kind: "heat";
  readonly x: Axis & { readonly categories: readonly string[] };
  readonly y: Axis & { readonly categories: readonly string[] };
  /** What a colour means, from little to much. */
  readonly classes: readonly { readonly label: string; readonly tone: Tone }[];
  readonly cells: readonly (readonly [column: number, row: number, classIndex: number])[];
}

export type Plot = LinePlot | BarPlot | HeatPlot;

export interface Size {
  readonly widthPx: number;
  readonly heightPx: number;
}
