/** The base model of a simulated device: one folder for the whole fleet, and a note of who has fetched it. */
import type { Bases } from "../device/base-cache.ts";

export class InstalledBase implements Bases {
  readonly #folder: string;
  readonly #roots: readonly string[];
  readonly #onFetched: () => void;
  #isHere: boolean;

  /** `roots` name the files of the base; `isHere` says that they need not be fetched. */
  constructor(folder: string, roots: readonly string[], isHere: boolean, onFetched: () => void) {
    this.#folder = folder;
    this.#roots = roots;
    this.#isHere = isHere;
    this.#onFetched = onFetched;
  }

  async ensure(...[files, pull]: Parameters<Bases["ensure"]>): Promise<string> {
    if (this.#isHere) return this.#folder;
    for (const { root, sizeBytes } of files) await pull({ root, sizeBytes });
    this.#isHere = true;
    this.#onFetched();
    return this.#folder;
  }

  roots(): string[] {
    return this.#isHere ? [...this.#roots] : [];
  }
}
