/** Random scores: the control that any other score has to beat. */
import { Rng } from "../../base/rng.ts";
import { unitParameters } from "../../cost/parameters.ts";
import { scoreAt, scoresOf } from "../unit-scores.ts";
import type { Scorer, ScorerFactory } from "./scorer.ts";

/** Uniform in [0, 1) per parameter, drawn once per seed and original unit, so that a unit keeps its luck over rounds. */
export const randomScorer: ScorerFactory = ({ model, seed }): Scorer => {
  const { shape, structure } = model;
  const rng = Rng.fromSeed(`${seed}/random scores`);
  const sizes = { heads: unitParameters(shape, "heads"), ffn: unitParameters(shape, "ffn") };
  const drawn = scoresOf(shape.units, (_layer, kind) => sizes[kind] * rng.next());
  return {
    observer: null,
    afterBackward: () => undefined,
    take: () =>
      structure.layers.map((left, layer) => ({
        heads: Float64Array.from(left.heads, (id) => scoreAt(drawn, layer, "heads", id)),
        ffn: Float64Array.from(left.ffn, (id) => scoreAt(drawn, layer, "ffn", id)),
      })),
  };
};
