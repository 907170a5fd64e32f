/** The state of a connection and those who want to know when it changes. */
import type { TransportState } from "./transport.ts";

export class StateListeners {
  readonly #listeners = new Set<(state: TransportState) => void>();
  #state: TransportState = "disconnected";

  get state(): TransportState {
    return this.#state;
  }

  /** Calls the listeners when this is a change. */
  enter(state: TransportState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  listen(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
