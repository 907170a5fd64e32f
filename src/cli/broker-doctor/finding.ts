/** What the broker doctor says: one sentence with how grave it is, and what to change. */

/** "problem": fedspine cannot work with it; "warning": it can, but should not be left so. */
export type Level = "ok" | "note" | "warning" | "problem";

export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly text: string;
  /** What to change at the broker or in the configuration. */
  readonly advice?: string;
}
