/** Which linear layers an adapter goes to, by name alone. */

/** "all-linear", a regular expression that must match the whole name, or module-name suffixes (PEFT's rules). */
export type TargetPattern = string | readonly string[];

/** Whether the pattern selects the linear layer of that name. */
export function matchesTarget(name: string, pattern: TargetPattern): boolean {
  if (pattern === "all-linear") return true;
  if (typeof pattern === "string") return new RegExp(`^(?:${pattern})$`).test(name);
  return pattern.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
}
