/** Which linear layers an adapter goes to: suffixes, a regular expression, or all of them. */
import { ConfigError } from "../base/errors.ts";
import type { Linear } from "../nn/linear.ts";

/** "all-linear", a regular expression that must match the whole name, or module-name suffixes (PEFT's rules). */
export type TargetPattern = string | readonly string[];

/** Layers whose names the pattern selects, in order. Throws ConfigError when it selects none. */
export function selectTargets(linears: readonly Linear[], pattern: TargetPattern): Linear[] {
  if (pattern === "all-linear") return [...linears];
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

function matchesTarget(name: string, pattern: TargetPattern): boolean {
  if (typeof pattern === "string") return new RegExp(`^(?:${pattern})$`).test(name);
  return pattern.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
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
