/** Seeded random numbers whose state can be saved: the only source of chance in the project. */

export type RngState = readonly [number, number, number, number];

/** Chris Doty-Humphrey's sfc32 (PractRand): 128 bits of state, the same stream on every platform. */
export class Rng {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  private constructor(state: RngState) {
    [this.#a, this.#b, this.#c, this.#d] = state;
  }

  static fromSeed(seed: number | string): Rng {
    const [a, b, c] = hashWords(String(seed));
    const rng = new Rng([a, b, c, 1]);
    for (let i = 0; i < 15; i++) rng.nextUint32();
    return rng;
  }

  static fromState(state: RngState): Rng {
    return new Rng(state);
  }

  get state(): RngState {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  /** An independent stream for one purpose; does not advance this one. */
  fork(name: string): Rng {
    return Rng.fromSeed(`${this.#a}:${this.#b}:${this.#c}:${this.#d}/${name}`);
  }

  nextUint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** Uniform in [0, 1) with 32 bits. */
  next(): number {
    return this.nextUint32() / 4294967296;
  }

  /** Uniform integer in [0, bound). */
  int(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** Standard normal, Box-Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("Rng.pick: the list is empty");
    return items[this.int(items.length)] as T;
  }

  /** Fisher-Yates, in place; returns its argument. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [items[i], items[j]] = [items[j] as T, items[i] as T];
    }
    return items;
  }

  /** Gamma(shape, 1), Marsaglia and Tsang 2000; the building block of Dirichlet draws. */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * Math.pow(1 - this.next(), 1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = Math.pow(1 + c * x, 3);
      if (v <= 0) continue;
      const u = 1 - this.next();
      if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** One draw of a symmetric Dirichlet over `size` parts; sums to one. */
  dirichlet(alpha: number, size: number): number[] {
    const parts = Array.from({ length: size }, () => this.gamma(alpha));
    const total = parts.reduce((sum, part) => sum + part, 0);
    if (total === 0) return parts.map((_, i) => (i === 0 ? 1 : 0));
    return parts.map((part) => part / total);
  }
}

/** Three 32-bit words from a text, xmur3 style. */
function hashWords(text: string): [number, number, number] {
  let h = 1779033703 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353);
    h = (h << 13) | (h >>> 19);
  }
  const word = (): number => {
    h = Math.imul(h ^ (h >>> 16), 2246822507);
    h = Math.imul(h ^ (h >>> 13), 3266489909);
    h ^= h >>> 16;
    return h | 0;
  };
  return [word(), word(), word()];
}
