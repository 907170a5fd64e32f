/**
 * First-order importance estimated from the gradients of LoRA factors alone.
 * Source: LoRAPrune (Zhang et al. 2023, Findings of ACL 2024), in the form of its published code.
 */
import { ConfigError } from "../../base/errors.ts";
import { unitKinds } from "../../base/structure.ts";
import { unitParameters } from "../../cost/parameters.ts";
import type { LoraPair } from "../../lora/lora.ts";
import type { Engine } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Scorer, ScorerFactory, ScorerOptions } from "./scorer.ts";
import { addTo, forEachGroup, unitLinears, zeroScores, type UnitLinear } from "./unit-linears.ts";
import { addUnitSums, forEachRows, multiply, pairOf } from "./weight-rows.ts";

/**
 * One step of size 1 on both factors changes s B A by -s (gB A + B gA - gB gA): that stands in for the gradient
 * G of the base weight. |G o (W + s B A)| is summed over each unit's rows or columns; each module's vector is
 * divided by its 2-norm, and the modules of a unit are added. The factor at the end, the same for all units of a
 * layer and kind, makes what a unit is worth per parameter a mean over its modules of vectors with a root mean
 * square of 1: entries of vectors of norm 1 would be smaller the more units there are. Only adapted layers count: throws ConfigError when a layer has none of a kind.
 */
export const loraPruneScorer: ScorerFactory = (options): Scorer => {
  const { model } = options;
  const adapted = unitLinears(model).filter((unitLinear) => pairOf(unitLinear) !== null);
  requireAllKinds(options, adapted);
  const modulesOf = (layer: number, kind: string): number =>
    adapted.filter(({ span }) => span.layer === layer && span.kind === kind).length;
  return {
    observer: null,
    afterBackward: () => undefined,
    take(gradientOf) {
      const scores = zeroScores(model);
      for (const unitLinear of adapted) {
        const sums = moduleSums(model.engine, unitLinear, gradientOf);
        const norm = Math.hypot(...sums);
        const { layer, kind } = unitLinear.span;
        if (norm > 0) addTo(scores[layer]?.[kind], sums, 1 / norm);
        // Not a number: the keeper shall see that this step is of no use.
        else if (Number.isNaN(norm)) addTo(scores[layer]?.[kind], sums);
      }
      forEachGroup(scores, (values, layer, kind) => {
        const parameters = unitParameters(model.shape, kind);
        const factor = (parameters * Math.sqrt(values.length)) / modulesOf(layer, kind);
        for (let i = 0; i < values.length; i++) values[i] = factor * (values[i] ?? 0);
      });
      return scores;
    },
  };
};

type GradientOf = (tensor: Tensor) => Tensor | undefined;

/** Sums over each unit of the layer of |G o (W + s B A)|. */
function moduleSums(engine: Engine, unitLinear: UnitLinear, gradientOf: GradientOf): Float64Array {
  const { linear, side, span } = unitLinear;
  const { rows, cols } = linear.weight.tensor;
  const sums = new Float64Array((side === "rows" ? rows : cols) / span.size);
  engine.step(() => {
    const writeGuide = guideOf(engine, pairOf(unitLinear) as LoraPair, gradientOf);
    forEachRows(engine, unitLinear, (part) => {
      const guide = engine.empty([part.count, part.cols]);
      writeGuide(guide, part.first);
      addUnitSums(engine, sums, unitLinear, part, (out, ...sizes) =>
        engine.kernels.unitAbsDotsF32(out, guide.ptr, part.values, 0, ...sizes),
      );
    });
  });
  return sums;
}

/** Writes the rows of s (gB A + B gA - gB gA) that begin at `first`. */
function guideOf(
  engine: Engine,
  { a, b, scale }: LoraPair,
  gradientOf: GradientOf,
): (out: Tensor, first: number) => void {
  const { kernels } = engine;
  const [dA, dB] = [gradientOf(a), gradientOf(b)];
  // gB A - gB gA = gB (A - gA)
  const reduced = engine.empty(a.shape);
  kernels.copyF32(reduced.ptr, a.ptr, a.size);
  if (dA !== undefined) kernels.axpyF32(reduced.ptr, dA.ptr, -1, a.size);
  return (out, first) => {
    const add = { alpha: scale, accumulate: true };
    const sizes = [out.rows, out.cols, a.rows] as const;
    const offset = 4 * first * a.rows;
    kernels.fillF32(out.ptr, 0, out.size);
    if (dB !== undefined) multiply(engine, out.ptr, dB.ptr + offset, reduced.ptr, sizes, add);
    if (dA !== undefined) multiply(engine, out.ptr, b.ptr + offset, dA.ptr, sizes, add);
  };
}

function requireAllKinds({ model }: ScorerOptions, adapted: readonly UnitLinear[]): void {
  model.structure.layers.forEach((_, layer) => {
    for (const kind of unitKinds) {
      if (adapted.some(({ span }) => span.layer === layer && span.kind === kind)) continue;
      throw new ConfigError(`lora-prune: no adapter sees the ${kind} of layer ${layer}`, {
        expected: "an adapter on a layer of each kind",
        got: adapted.map(({ linear }) => linear.name.split(".").at(-1)).join(", ") || "none",
        hint: 'set the targets to "all-linear", or take another score',
      });
    }
  });
}
