/** The quality of one adapter over several devices' models. */
import type { Evaluation, Score } from "./run-events.ts";

/** Means over the devices, and the device with the lowest accuracy; there has to be one. */
export function meanAndWorst(
  scores: readonly (Score & { readonly device: string })[],
): Required<Evaluation> {
  const mean = (key: keyof Score): number =>
    scores.reduce((sum, score) => sum + score[key], 0) / scores.length;
  const worst = scores.reduce((low, each) => (each.accuracy < low.accuracy ? each : low));
  return {
    accuracy: mean("accuracy"),
    loss: mean("loss"),
    macroF1: mean("macroF1"),
    numDevices: scores.length,
    worst,
  };
}
