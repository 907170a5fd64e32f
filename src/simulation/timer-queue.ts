/** Timers by due time: a binary heap in which cancelled timers stay until they come up or are too many. */

export interface Entry {
  readonly dueMs: number;
  readonly order: number;
  /** null once cancelled. */
  action: (() => void) | null;
}

/** Fewer cancelled timers than this are not worth a clean-up. */
const TOLERATED = 1024;

export class TimerQueue {
  #heap: Entry[] = [];
  #order = 0;
  #numCancelled = 0;

  /** Of two timers with the same due time the one added first comes first. */
  add(dueMs: number, action: () => void): Entry {
    const entry = { dueMs, order: this.#order++, action };
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    return entry;
  }

  cancel(entry: Entry): void {
    if (entry.action === null) return;
    entry.action = null;
    this.#numCancelled += 1;
    if (this.#numCancelled > TOLERATED && 2 * this.#numCancelled > this.#heap.length) this.#clean();
  }

  /** Takes out the next timer; undefined when none is left. Cancelling it later does nothing. */
  take(): { readonly dueMs: number; readonly action: () => void } | undefined {
    for (;;) {
      const entry = this.#pop();
      if (entry === undefined) return undefined;
      const { dueMs, action } = entry;
      if (action === null) {
        this.#numCancelled -= 1;
        continue;
      }
      // Its owner may still cancel it: that must not count a timer that has left the heap.
      entry.action = null;
      return { dueMs, action };
    }
  }

  #pop(): Entry | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined || this.#heap.length === 0) return first;
    this.#heap[0] = last;
    this.#sink(0);
    return first;
  }

  #clean(): void {
    // A sorted list is a heap.
    this.#heap = this.#heap.filter(({ action }) => action !== null).sort(byTime);
    this.#numCancelled = 0;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const entry = heap[from] as Entry;
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry;
      if (byTime(parent, entry) <= 0) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const entry = heap[from] as Entry;
    let at = from;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      const right = heap[down + 1];
      if (right !== undefined && byTime(right, heap[down] as Entry) < 0) down += 1;
      const child = heap[down] as Entry;
      if (byTime(entry, child) <= 0) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = entry;
  }
}

function byTime(a: Entry, b: Entry): number {
  return a.dueMs - b.dueMs || a.order - b.order;
}
