/** Repeated merging of the most frequent neighbouring pair, with counts kept up to date in place. */

export interface CountedWord {
  /** Piece ids of the word; merging rewrites and shortens it. */
  ids: Int32Array;
  readonly count: number;
}

interface Candidate {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

const idSpan = 2 ** 26;

/**
 * Merges pairs in order of frequency (ties by the smaller ids) until `onMerge` declines or no pair
 * occurs `minCount` times. `onMerge` gives the id of the joined piece; undefined ends the merging.
 */
export function mergePairs(
  words: readonly CountedWord[],
  minCount: number,
  onMerge: (left: number, right: number) => number | undefined,
): void {
  const pairs = new PairCounts(words);
  const heap = new CandidateHeap();
  for (const key of pairs.keys()) heap.push(pairs.candidate(key));
  for (;;) {
    const top = heap.pop();
    if (top === undefined) return;
    const key = top.left * idSpan + top.right;
    const count = pairs.countOf(key);
    if (count !== top.count) {
      if (count >= minCount) heap.push(pairs.candidate(key));
      continue;
    }
    if (count < minCount) return;
    const merged = onMerge(top.left, top.right);
    if (merged === undefined) return;
    for (const changed of pairs.merge(top.left, top.right, merged)) {
      if (pairs.countOf(changed) >= minCount) heap.push(pairs.candidate(changed));
    }
  }
}

/** How often each pair of neighbouring ids occurs, and in which words. */
class PairCounts {
  readonly #words: readonly CountedWord[];
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, Set<number>>();

  constructor(words: readonly CountedWord[]) {
    this.#words = words;
    words.forEach((_, index) => this.#addWord(index, 1));
  }

  keys(): IterableIterator<number> {
    return this.#counts.keys();
  }

  countOf(key: number): number {
    return this.#counts.get(key) ?? 0;
  }

  candidate(key: number): Candidate {
    return { left: Math.floor(key / idSpan), right: key % idSpan, count: this.countOf(key) };
  }

  /** Joins the pair wherever it occurs; returns the pairs that now contain the joined id. */
  merge(left: number, right: number, merged: number): Set<number> {
    const changed = new Set<number>();
    for (const index of this.#places.get(left * idSpan + right) ?? []) {
      const word = this.#words[index] as CountedWord;
      const ids = joined(word.ids, left, right, merged);
      if (ids.length === word.ids.length) continue;
      this.#addWord(index, -1);
      word.ids = ids;
      this.#addWord(index, 1);
      for (let i = 1; i < ids.length; i++) {
        if (ids[i - 1] === merged || ids[i] === merged) changed.add(keyAt(ids, i));
      }
    }
    this.#places.delete(left * idSpan + right);
    return changed;
  }

  /** Places are only ever added: a word that lost a pair is passed over when the pair is merged. */
  #addWord(index: number, sign: 1 | -1): void {
    const { ids, count } = this.#words[index] as CountedWord;
    for (let i = 1; i < ids.length; i++) {
      const key = keyAt(ids, i);
      const total = (this.#counts.get(key) ?? 0) + sign * count;
      if (total === 0) this.#counts.delete(key);
      else this.#counts.set(key, total);
      if (sign === 1) {
        const places = this.#places.get(key);
        if (places === undefined) this.#places.set(key, new Set([index]));
        else places.add(index);
      }
    }
  }
}

function keyAt(ids: Int32Array, i: number): number {
  return (ids[i - 1] as number) * idSpan + (ids[i] as number);
}

function joined(ids: Int32Array, left: number, right: number, merged: number): Int32Array {
  const out = new Int32Array(ids.length);
  let length = 0;
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out[length++] = merged;
      i++;
    } else {
      out[length++] = ids[i] as number;
    }
  }
  return out.slice(0, length);
}

/** A binary heap whose top is the most frequent candidate; stale entries are the caller's to skip. */
class CandidateHeap {
  readonly #items: Candidate[] = [];

  push(item: Candidate): void {
    const items = this.#items;
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!precedes(item, items[parent] as Candidate)) break;
      items[at] = items[parent] as Candidate;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Candidate | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (
        child + 1 < items.length &&
        precedes(items[child + 1] as Candidate, items[child] as Candidate)
      ) {
        child++;
      }
      if (!precedes(items[child] as Candidate, last)) break;
      items[at] = items[child] as Candidate;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

function precedes(a: Candidate, b: Candidate): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.left !== b.left ? a.left < b.left : a.right < b.right;
}
