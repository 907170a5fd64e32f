/** Who has subscribed to a topic, found without looking at everybody's filters. */
import { filterMatches } from "./topic-filter.ts";

export class FilterIndex<T extends { readonly order: number }> {
  readonly #exact = new Map<string, Set<T>>();
  /** Filters with + or #: few, for only a coordinator listens to many devices. */
  readonly #wild = new Map<string, Set<T>>();

  add(filter: string, owner: T): void {
    const side = this.#sideOf(filter);
    const owners = side.get(filter);
    if (owners === undefined) side.set(filter, new Set([owner]));
    else owners.add(owner);
  }

  remove(filter: string, owner: T): void {
    const side = this.#sideOf(filter);
    const owners = side.get(filter);
    owners?.delete(owner);
    if (owners?.size === 0) side.delete(filter);
  }

  clear(): void {
    this.#exact.clear();
    this.#wild.clear();
  }

  /** Each owner once, by its `order`. */
  matching(topic: string): T[] {
    const found = new Set(this.#exact.get(topic));
    for (const [filter, owners] of this.#wild) {
      if (filterMatches(filter, topic)) for (const owner of owners) found.add(owner);
    }
    return [...found].sort((a, b) => a.order - b.order);
  }

  #sideOf(filter: string): Map<string, Set<T>> {
    return /[+#]/.test(filter) ? this.#wild : this.#exact;
  }
}
