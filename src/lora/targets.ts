/** Which linear layers an adapter goes to: suffixes, a regular expression, or all of them. */
import { ConfigError } from "../base/errors.ts";
import { matchesTarget, type TargetPattern } from "../base/target-pattern.ts";
import type { Linear } from "../nn/linear.ts";

export type { TargetPattern };

/** Layers whose names the pattern selects, in order. Throws ConfigError when it selects none. */
export function selectTargets(linears: readonly Linear[], pattern: TargetPattern): Linear[] {
  const selected = linears.filter(({ name }) => matchesTarget(name, pattern));
  if (selected.length === 0) {
    const known = [...new Set(linears.map(({ name }) => name.split(".").at(-1)))].join(", ");
    throw new ConfigError("lora: no layer has such a name", {
      expected: `one of ${known}, or all-linear`,
      got: typeof pattern === "string" ? pattern : pattern.join(", "),
    });
  }
  return selected;
}

/** The entry of a PEFT rank_pattern or alpha_pattern that applies to a module, or the default. */
export function patternValue(
  name: string,
  patterns: Readonly<Record<string, number>>,
  fallback: number,
): number {
  const key = Object.keys(patterns).find(
    (pattern) => pattern === name || new RegExp(`(^|.*\\.)(?:${pattern})$`).test(name),
  );
  return key === undefined ? fallback : (patterns[key] as number);
}
