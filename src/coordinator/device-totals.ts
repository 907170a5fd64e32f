/** Adds up over a run what each device did, as part of the run's record. */
import * as v from "valibot";
import type { DeviceReport } from "../protocol/messages.ts";
import type { DeviceSummary } from "./run-events.ts";

const amount = v.pipe(v.number(), v.minValue(0));

export const deviceTotalsSchema = v.object({
  type: v.string(),
  ...{ rounds: amount, numSamples: amount, steps: amount },
  ...{ trainMs: amount, downloadMs: amount, uploadMs: amount },
  ...{ firstStepMs: amount, lastStepMs: amount },
  ...{ peakBytes: amount, firstPeakBytes: amount, lastPeakBytes: amount, residentBytes: amount },
  ...{ rank: amount, sparsity: amount, bytesUp: amount, bytesDown: amount },
});
export type DeviceTotals = v.InferOutput<typeof deviceTotalsSchema>;

/** What an update that counts adds. */
export interface Contribution {
  readonly report: DeviceReport;
  readonly uploadMs: number;
  readonly rank: number;
  readonly sparsity: number;
}

export const noTotals: DeviceTotals = {
  type: "",
  ...{ rounds: 0, numSamples: 0, steps: 0, trainMs: 0, downloadMs: 0, uploadMs: 0 },
  ...{ firstStepMs: 0, lastStepMs: 0 },
  ...{ peakBytes: 0, firstPeakBytes: 0, lastPeakBytes: 0, residentBytes: 0 },
  ...{ rank: 0, sparsity: 0, bytesUp: 0, bytesDown: 0 },
};

export function contributed(
  totals: DeviceTotals,
  { report, uploadMs, rank, sparsity }: Contribution,
): DeviceTotals {
  const isFirst = totals.rounds === 0;
  return {
    ...totals,
    rounds: totals.rounds + 1,
    numSamples: report.numSamples,
    steps: totals.steps + report.steps,
    trainMs: totals.trainMs + report.trainMs,
    downloadMs: totals.downloadMs + report.downloadMs,
    uploadMs: totals.uploadMs + uploadMs,
    firstStepMs: isFirst ? report.stepMs : totals.firstStepMs,
    lastStepMs: report.stepMs,
    peakBytes: Math.max(totals.peakBytes, report.peakBytes),
    firstPeakBytes: isFirst ? report.peakBytes : totals.firstPeakBytes,
    lastPeakBytes: report.peakBytes,
    residentBytes: Math.max(totals.residentBytes, report.residentBytes),
    rank,
    sparsity,
  };
}

/** Of each device, sorted by id. */
export function deviceSummaries(totals: Readonly<Record<string, DeviceTotals>>): DeviceSummary[] {
  return Object.entries(totals)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { firstStepMs, lastStepMs, ...rest }]) => {
      return { id, ...rest, speedUp: lastStepMs > 0 ? firstStepMs / lastStepMs : 1 };
    });
}
