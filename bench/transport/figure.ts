/** What a figure of the transport is: a name to choose it by, an aim, and how it is measured. */

export interface Length {
  /** Bytes, devices or rounds in the shortened form are fewer; the figures then only show that everything works. */
  readonly isShort: boolean;
  /** How long the fleet of `reconnect` goes on with rounds and churn. */
  readonly minutes: number;
}

export interface Outcome {
  readonly ok: boolean;
  /** The measured figure as the table shows it. */
  readonly shown: string;
  /** Everything that was measured; units are in the names. */
  readonly values: Readonly<Record<string, number>>;
}

export interface Figure {
  readonly name: string;
  readonly aim: string;
  measure(length: Length): Promise<Outcome>;
}

export const MIB = 1024 * 1024;

/** The value below which a share `p` of the values lies; 0 for none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? 0;
}

/** Rounds to three decimals, for reading. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
