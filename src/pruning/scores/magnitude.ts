/** Magnitude score: the sum of the sizes of a unit's weights (Han et al. 2015; as FedMP ranks filters). */
import type { UnitScores } from "../unit-scores.ts";
import type { Scorer, ScorerFactory } from "./scorer.ts";
import { addTo, unitLinears, zeroScores } from "./unit-linears.ts";
import { addUnitSums, forEachRows } from "./weight-rows.ts";

/** L1 norm of W + s B A over the unit's rows and columns, without biases. Needs no data. */
export const magnitudeScorer: ScorerFactory = ({ model }): Scorer => {
  const { engine } = model;
  const measure = (): UnitScores => {
    const scores = zeroScores(model);
    for (const unitLinear of unitLinears(model)) {
      const { layer, kind } = unitLinear.span;
      const units = scores[layer]?.[kind];
      const sums = new Float64Array(units?.length ?? 0);
      forEachRows(engine, unitLinear, (rows) =>
        addUnitSums(engine, sums, unitLinear, rows, (out, ...sizes) =>
          engine.kernels.unitAbsSumsF32(out, rows.values, 0, ...sizes),
        ),
      );
      addTo(units, sums);
    }
    return scores;
  };
  // The base is frozen and an adapter moves little in a round: measured once.
  let measured: UnitScores | undefined;
  return {
    observer: null,
    afterBackward: () => undefined,
    take: () => (measured ??= measure()),
  };
};
