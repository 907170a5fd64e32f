/** The blocks of one growing space in order of address, adjacent to each other: a table of numbers, so that no allocation makes garbage. */

/** What a block is: free, or in use for a purpose that the caller numbers from 1. */
export const FREE = 0;

const FIRST_CAPACITY = 256;
/** Larger than any block, and still a small integer to V8. */
const MOST = 2 ** 30;

/** Addresses and sizes are in units that the caller chooses. Rows are found by address, and move when others come and go. */
export class BlockTable {
  /** Number of rows. */
  length = 0;
  /** Where the last block ends. */
  end: number;
  #start = new Int32Array(FIRST_CAPACITY);
  #kind = new Uint8Array(FIRST_CAPACITY);
  #birth = new Float64Array(FIRST_CAPACITY);
  #holds = new Int32Array(FIRST_CAPACITY);
  #isLeft = new Uint8Array(FIRST_CAPACITY);

  constructor(start: number) {
    this.end = start;
  }

  start(row: number): number {
    return this.#start[row] as number;
  }

  size(row: number): number {
    const next = row + 1 < this.length ? (this.#start[row + 1] as number) : this.end;
    return next - (this.#start[row] as number);
  }

  kind(row: number): number {
    return this.#kind[row] as number;
  }

  /** Number of the allocation that made the block. */
  birth(row: number): number {
    return this.#birth[row] as number;
  }

  /** How many need the block still, whoever made it aside. */
  holds(row: number): number {
    return this.#holds[row] as number;
  }

  setHolds(row: number, holds: number): void {
    this.#holds[row] = holds;
  }

  /** Whether its maker has left it to those who hold it. */
  isLeft(row: number): boolean {
    return this.#isLeft[row] === 1;
  }

  leave(row: number): void {
    this.#isLeft[row] = 1;
  }

  /** The row of the block that an address lies in; -1 for none. */
  rowOf(address: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#start[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    return address < this.end ? low - 1 : -1;
  }

  /** The row of the smallest free block of at least `size`, the lowest of several; -1 for none. */
  bestFit(size: number): number {
    let best = -1;
    let bestSize = MOST;
    for (let row = 0; row < this.length; row++) {
      if (this.#kind[row] !== FREE) continue;
      const candidate = this.size(row);
      if (candidate < size || candidate >= bestSize) continue;
      best = row;
      bestSize = candidate;
      if (candidate === size) break;
    }
    return best;
  }

  /** Takes the first `size` of a free block, and leaves the rest free. */
  take(row: number, size: number, kind: number, birth: number): void {
    this.split(row, size);
    this.#set(row, kind, birth);
  }

  /** Cuts a block in two, the second of which is free. */
  split(row: number, size: number): void {
    if (size === this.size(row)) return;
    this.#insert(row + 1, this.start(row) + size);
  }

  /** Adds a free block of that size at the end, or widens the free one that is there. */
  extend(size: number): void {
    const hasFreeEnd = this.length > 0 && this.#kind[this.length - 1] === FREE;
    if (!hasFreeEnd) this.#insert(this.length, this.end);
    this.end += size;
  }

  /** Frees one block and joins it with free neighbours. */
  free(row: number): void {
    this.#set(row, FREE, 0);
    if (row + 1 < this.length && this.#kind[row + 1] === FREE) this.#remove(row + 1);
    if (row > 0 && this.#kind[row - 1] === FREE) this.#remove(row);
  }

  /** Frees a block whose neighbours {@link join} will look after: for many at once. */
  freeAlone(row: number): void {
    this.#set(row, FREE, 0);
  }

  /** Joins all free blocks that lie side by side. */
  join(): void {
    let to = 0;
    for (let row = 0; row < this.length; row++) {
      const joins = to > 0 && this.#kind[row] === FREE && this.#kind[to - 1] === FREE;
      if (joins) continue;
      if (to !== row) this.#copy(to, row);
      to++;
    }
    this.length = to;
  }

  #set(row: number, kind: number, birth: number): void {
    this.#kind[row] = kind;
    this.#birth[row] = birth;
    this.#holds[row] = 0;
    this.#isLeft[row] = 0;
  }

  #insert(row: number, start: number): void {
    if (this.length === this.#start.length) this.#grow();
    this.#move(row + 1, row);
    this.length++;
    this.#start[row] = start;
    this.#set(row, FREE, 0);
  }

  #remove(row: number): void {
    this.#move(row, row + 1);
    this.length--;
  }

  /** Moves the rows from `from` on so that they begin at `to`. */
  #move(to: number, from: number): void {
    this.#start.copyWithin(to, from, this.length);
    this.#kind.copyWithin(to, from, this.length);
    this.#birth.copyWithin(to, from, this.length);
    this.#holds.copyWithin(to, from, this.length);
    this.#isLeft.copyWithin(to, from, this.length);
  }

  #copy(to: number, from: number): void {
    this.#start[to] = this.#start[from] as number;
    this.#kind[to] = this.#kind[from] as number;
    this.#birth[to] = this.#birth[from] as number;
    this.#holds[to] = this.#holds[from] as number;
    this.#isLeft[to] = this.#isLeft[from] as number;
  }

  #grow(): void {
    const capacity = 2 * this.length;
    const grown = <T extends { set(values: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#start = grown(new Int32Array(capacity), this.#start);
    this.#kind = grown(new Uint8Array(capacity), this.#kind);
    this.#birth = grown(new Float64Array(capacity), this.#birth);
    this.#holds = grown(new Int32Array(capacity), this.#holds);
    this.#isLeft = grown(new Uint8Array(capacity), this.#isLeft);
  }
}
