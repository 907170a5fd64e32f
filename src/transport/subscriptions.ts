/** The subscriptions of one connection: what to ask for on every connect, and who handles a message. */
import { FedspineError, TransportError } from "../base/errors.ts";
import { filterMatches, filtersOverlap, isTopicFilter } from "./topic-filter.ts";
import type { MessageHandler } from "./transport.ts";

/** Receives what went wrong where no caller waits: a failing handler, a refused reconnect. For logs and counters. */
export type FaultListener = (fault: FedspineError) => void;

/** Messages of a durable session kept for a handler that is not there yet; more are dropped, oldest first. */
const MAX_EARLY_MESSAGES = 64;

export class Subscriptions {
  readonly #handlers = new Map<string, MessageHandler>();
  readonly #onFault: FaultListener;
  readonly #keepEarly: boolean;
  #early: { topic: string; payload: Uint8Array }[] = [];

  /** With `keepEarly`, messages that a resumed session delivers before `add` wait for their handler. */
  constructor(keepEarly: boolean, onFault: FaultListener) {
    this.#keepEarly = keepEarly;
    this.#onFault = onFault;
  }

  get filters(): string[] {
    return [...this.#handlers.keys()];
  }

  /** Throws TransportError when the filter is malformed or overlaps one that is already there. */
  add(filter: string, handler: MessageHandler): void {
    if (!isTopicFilter(filter)) {
      throw new TransportError("topic filter is malformed", {
        expected: "levels of text or +, with # at most as the last one",
        got: JSON.stringify(filter),
      });
    }
    const other = this.filters.find((candidate) => filtersOverlap(candidate, filter));
    if (other !== undefined) {
      throw new TransportError("two subscriptions of one connection overlap", {
        expected: `a filter apart from ${other}`,
        got: filter,
        hint: "use one handler for both, or a second connection",
      });
    }
    this.#handlers.set(filter, handler);
    const waiting = this.#early;
    this.#early = [];
    for (const { topic, payload } of waiting) this.dispatch(topic, payload);
  }

  remove(filter: string): void {
    this.#handlers.delete(filter);
  }

  /** Hands a message to its handler; never throws. */
  dispatch(topic: string, payload: Uint8Array): void {
    for (const [filter, handler] of this.#handlers) {
      if (!filterMatches(filter, topic)) continue;
      callHandler(handler, topic, payload, this.#onFault);
      return;
    }
    if (!this.#keepEarly) return;
    this.#early.push({ topic, payload });
    if (this.#early.length > MAX_EARLY_MESSAGES) this.#early.shift();
  }
}

/** Calls a handler and reports what it throws: a message must never end the process. */
export function callHandler(
  handler: MessageHandler,
  topic: string,
  payload: Uint8Array,
  onFault: FaultListener,
): void {
  try {
    handler(topic, payload);
  } catch (cause) {
    onFault(new FedspineError("a message handler failed", { cause, topic }));
  }
}
