/** Lets a limited number of pulls run at once; the others wait in the order of their arrival. */
import { TransportError } from "../base/errors.ts";

export class PullSlots {
  #free: number;
  #waiting: { start: () => void; fail: (error: TransportError) => void }[] = [];
  #closed = false;

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs `work` when a slot is free. Rejects with TransportError once closed. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    if (this.#free === 0) {
      await new Promise<void>((start, fail) => this.#waiting.push({ start, fail }));
    } else {
      this.#free -= 1;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next.start();
    }
  }

  /** Rejects those that wait; those that run are left to end. */
  close(): void {
    this.#closed = true;
    for (const { fail } of this.#waiting.splice(0)) fail(closedError());
  }
}

function closedError(): TransportError {
  return new TransportError("the data connection is closed");
}
