/** The moving average of scores over steps, prunings and rounds, by original unit. */
import { hostArray, shapeText, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { unitKinds, type Structure, type UnitCounts, type UnitKind } from "../base/structure.ts";
import { scoresOf, type UnitScores } from "./unit-scores.ts";

/** Sum of decayed scores and of their weights, [L, units]; what one says per unit of the other is the average. */
interface Average {
  readonly sums: Float32Array;
  readonly weights: Float32Array;
}

/**
 * S <- decay S + (1 - decay) s at every step, divided by the weight that the steps so far have, so that the
 * first steps are not drowned by the zero before them. A unit keeps its average while it is gone.
 */
export class ScoreKeeper {
  readonly #counts: UnitCounts;
  readonly #averages: Readonly<Record<UnitKind, Average>>;
  #ignoredSteps = 0;

  constructor(counts: UnitCounts) {
    const empty = (kind: UnitKind): Average => {
      const length = counts.layers * counts[kind];
      return { sums: new Float32Array(length), weights: new Float32Array(length) };
    };
    this.#counts = counts;
    this.#averages = { heads: empty("heads"), ffn: empty("ffn") };
  }

  /** Steps whose scores were not finite and did not count. */
  get ignoredSteps(): number {
    return this.#ignoredSteps;
  }

  /** Takes in the scores of one step over the units of `structure`, in its order; none of them if one is not finite. */
  update(step: UnitScores, structure: Structure, decay: number): void {
    const isSound = step.every((layer) => unitKinds.every((kind) => layer[kind].every(isFinite)));
    if (!isSound) {
      this.#ignoredSteps++;
      return;
    }
    this.#forEachUnit(structure, (layer, kind, index, position) => {
      const { sums, weights } = this.#averages[kind];
      const score = step[layer]?.[kind][position] ?? 0;
      sums[index] = decay * (sums[index] ?? 0) + (1 - decay) * score;
      weights[index] = decay * (weights[index] ?? 0) + (1 - decay);
    });
  }

  /** Whether every unit of the structure has been scored. */
  knows(structure: Structure): boolean {
    let isKnown = true;
    this.#forEachUnit(structure, (_layer, kind, index) => {
      if (this.#averages[kind].weights[index] === 0) isKnown = false;
    });
    return isKnown;
  }

  /** The averages by original id; 0 for units that were never scored. */
  scores(): UnitScores {
    return scoresOf(this.#counts, (layer, kind, id) => {
      const { sums, weights } = this.#averages[kind];
      const index = layer * this.#counts[kind] + id;
      const weight = weights[index] ?? 0;
      return weight === 0 ? 0 : (sums[index] ?? 0) / weight;
    });
  }

  /** Everything as tensors [L, units]: `sums.heads`, `weights.heads`, `sums.ffn` and `weights.ffn`. */
  export(): NamedArrays {
    return new Map(
      this.#named().map(([name, shape, data]) => [name, hostArray(shape, data.slice())]),
    );
  }

  /** Continues from what {@link export} returned. Throws CheckpointError for tensors that are missing or misshapen. */
  restore(tensors: NamedArrays, origin: string): void {
    for (const [name, shape, data] of this.#named()) {
      const tensor = tensors.get(name);
      if (tensor === undefined || shapeText(tensor.shape) !== shapeText(shape)) {
        throw new CheckpointError(`${origin}: ${name}`, {
          expected: shapeText(shape),
          got: tensor === undefined ? "nothing of that name" : shapeText(tensor.shape),
        });
      }
      data.set(tensor.data);
    }
  }

  #named(): [name: string, shape: readonly number[], data: Float32Array][] {
    return unitKinds.flatMap((kind) => {
      const shape = [this.#counts.layers, this.#counts[kind]];
      const { sums, weights } = this.#averages[kind];
      return [
        [`sums.${kind}`, shape, sums],
        [`weights.${kind}`, shape, weights],
      ];
    });
  }

  #forEachUnit(
    structure: Structure,
    action: (layer: number, kind: UnitKind, index: number, position: number) => void,
  ): void {
    structure.layers.forEach((left, layer) => {
      for (const kind of unitKinds) {
        left[kind].forEach((id, position) =>
          action(layer, kind, layer * this.#counts[kind] + id, position),
        );
      }
    });
  }
}
