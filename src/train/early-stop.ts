/** Stops a run whose held-out loss no longer improves. */
export class EarlyStop {
  readonly #patience: number;
  #best = Infinity;
  #failures = 0;

  /** `patience`: evaluations in a row without a better loss that end the run; Infinity for never. */
  constructor(patience: number) {
    this.#patience = patience;
  }

  get isOver(): boolean {
    return this.#failures >= this.#patience;
  }

  /** Returns whether this is the best loss so far. */
  report(loss: number): boolean {
    const isBest = loss < this.#best;
    this.#failures = isBest ? 0 : this.#failures + 1;
    if (isBest) this.#best = loss;
    return isBest;
  }
}
