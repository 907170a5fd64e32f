/** The base model of a simulated device: one folder for the whole fleet, and a note of who has fetched it. */
import type { Bases } from "../device/base-cache.ts";

export class InstalledBase implements Bases {
  readonly #folder: string;
  readonly #roots: readonly string[];
  #isHere: boolean;

  /** `roots` name the files of the base. */
  constructor(folder: string, roots: readonly string[], isHere: boolean) {
    this.#folder = folder;
    this.#roots = roots;
    this.#isHere = isHere;
  }

  get isHere(): boolean {
    return this.#isHere;
  }

  async ensure(...[files, pull]: Parameters<Bases["ensure"]>): Promise<string> {
    if (!this.#isHere) for (const { root, sizeBytes } of files) await pull({ root, sizeBytes });
    this.#isHere = true;
    return this.#folder;
  }

  roots(): string[] {
    return this.#isHere ? [...this.#roots] : [];
  }
}
