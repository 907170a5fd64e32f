/** Takes the steps of the round machine one by one: each is written down first, and what it asks for is done after that. */
import type { RoundEffect, RoundInput, RoundState } from "./round-state.ts";

export interface DurableStepsOptions {
  readonly step: (
    state: RoundState,
    input: RoundInput,
  ) => readonly [RoundState, readonly RoundEffect[]];
  readonly state: RoundState;
  /** Makes the step durable, or throws. */
  readonly write: (state: RoundState, effects: readonly RoundEffect[]) => void;
  /** May feed inputs; they wait until all effects before them are done. */
  readonly perform: (effect: RoundEffect) => void;
  /** What `write` or `perform` has thrown: true to leave that out and go on, false to hold still until `resume`. */
  readonly goesOn: (error: unknown) => boolean;
}

export class DurableSteps {
  readonly #options: DurableStepsOptions;
  readonly #inputs: RoundInput[] = [];
  readonly #effects: RoundEffect[] = [];
  #state: RoundState;
  #isStepping = false;
  #isClosed = false;

  constructor(options: DurableStepsOptions) {
    this.#options = options;
    this.#state = options.state;
  }

  get state(): RoundState {
    return this.#state;
  }

  feed(input: RoundInput): void {
    this.#inputs.push(input);
    this.resume();
  }

  /** Goes on where an error has held it up. */
  resume(): void {
    if (this.#isStepping) return;
    this.#isStepping = true;
    while (!this.#isClosed && this.#advance());
    this.#isStepping = false;
  }

  /** Nothing is stepped, written or done any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** One effect, or the next input when all are done; false when there is nothing to do or no getting on. */
  #advance(): boolean {
    const { step, write, perform } = this.#options;
    const [effect] = this.#effects;
    if (effect !== undefined) {
      if (!this.#try(() => perform(effect))) return false;
      this.#effects.shift();
      return true;
    }
    const [input] = this.#inputs;
    if (input === undefined) return false;
    const [state, effects] = step(this.#state, input);
    if (!this.#try(() => write(state, effects))) return false;
    this.#inputs.shift();
    this.#state = state;
    this.#effects.push(...effects);
    return true;
  }

  #try(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      return this.#options.goesOn(error);
    }
  }
}
