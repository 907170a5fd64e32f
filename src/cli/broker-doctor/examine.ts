/** Runs every check of a broker and gathers what they find. */
import { TransportError } from "../../base/errors.ts";
import { checks, type DoctorContext } from "./checks.ts";
import { clockCheck } from "./clock-check.ts";
import type { Finding } from "./finding.ts";

/**
 * Findings in the order of the checks. Throws TransportError when nothing answers at all; a check whose
 * connection is refused later becomes a finding.
 */
export async function examine(context: DoctorContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [i, check] of [...checks, clockCheck].entries()) {
    try {
      findings.push(...(await check(context)));
    } catch (error) {
      if (!(error instanceof TransportError) || i === 0) throw error;
      findings.push({
        check: "connection",
        level: "problem",
        text: `a later connection was refused: ${error.message}`,
        advice: "the broker may limit connections or their rate; allow two per device",
      });
    }
  }
  return findings;
}
