/** A clock that jumps to the next timer as soon as nothing is left to do at the present moment. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../base/clock.ts";
import { FedspineError } from "../base/errors.ts";
import { TimerQueue } from "./timer-queue.ts";

/** What Node lists among its active resources while a turn or a file access (FSReqPromise, CloseReq) is still to come. */
const isTurnPending = (resource: string): boolean =>
  resource === "Immediate" || resource.includes("Req");

/**
 * Virtual time for code that takes its clock as an argument. One timer fires at a time; the next one has to wait until
 * every promise has settled that can, so the order of events depends on due times alone. Work that takes real time,
 * such as a result from a thread, is waited for with `hold`: virtual time stands still meanwhile, and results are handed
 * over in the order in which they were asked for, not in the order in which they arrive.
 */
export class VirtualClock implements Clock {
  readonly #timers = new TimerQueue();
  readonly #holds: Promise<() => void>[] = [];
  #nowMs: number;
  #numEvents = 0;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  /** Timers fired so far. */
  get numEvents(): number {
    return this.#numEvents;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    return this.at(this.#nowMs + Math.max(0, delayMs), action);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** As `after`, with an absolute time: no rounding comes in. A time that is over counts as now. */
  at(dueMs: number, action: () => void): Timer {
    const entry = this.#timers.add(Math.max(this.#nowMs, dueMs), action);
    return { cancel: () => this.#timers.cancel(entry) };
  }

  /** Waits for real work without letting virtual time pass; settles as `work` does, in the order of the calls. */
  hold<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#holds.push(
        work.then(
          (value) => () => resolve(value),
          (error: unknown) => () =>
            reject(error instanceof Error ? error : new FedspineError(String(error))),
        ),
      );
    });
  }

  /**
   * Lets time pass until `goal` settles, and settles as it does. Rejects with the signal's reason once it is aborted,
   * and with FedspineError when nothing can happen any more.
   */
  async run<T>(goal: Promise<T>, signal?: AbortSignal): Promise<T> {
    const reached = { yet: false };
    const reach = (): void => void (reached.yet = true);
    goal.then(reach, reach);
    const { aborted, forget } = rejection(signal);
    try {
      for (;;) {
        await this.#settle();
        signal?.throwIfAborted();
        if (reached.yet) return await goal;
        const hold = this.#holds.shift();
        if (hold === undefined) this.#fireNext();
        else (await Promise.race([hold, aborted]))();
      }
    } finally {
      forget();
    }
  }

  #fireNext(): void {
    const timer = this.#timers.take();
    if (timer === undefined) {
      throw new FedspineError(
        "the simulation stands still: no timer is set and no work is under way",
      );
    }
    this.#nowMs = timer.dueMs;
    this.#numEvents += 1;
    timer.action();
  }

  /** Resolves when no promise can settle without a timer or a hold. */
  async #settle(): Promise<void> {
    do await nextTurn();
    while (process.getActiveResourcesInfo().some(isTurnPending));
  }
}

/** A promise that never resolves, and how to take it off the signal: one that outlives the run would keep all that raced with it. */
function rejection(signal: AbortSignal | undefined): {
  readonly aborted: Promise<never>;
  readonly forget: () => void;
} {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal?.reason as Error);
  });
  aborted.catch(() => undefined);
  signal?.addEventListener("abort", abort);
  return { aborted, forget: () => signal?.removeEventListener("abort", abort) };
}
