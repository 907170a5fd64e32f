/** Typed reading of a Hugging Face config.json. */
import { CheckpointError } from "../base/errors.ts";
import type { Architecture, ConfigReader } from "./architecture.ts";

export class ConfigFile implements ConfigReader {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #origin: string;

  constructor(values: Readonly<Record<string, unknown>>, origin = "config.json") {
    this.#values = values;
    this.#origin = origin;
  }

  has(key: string): boolean {
    return this.#values[key] !== undefined && this.#values[key] !== null;
  }

  int(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isSafeInteger(value) || value < 0) this.#fail(key, "a whole number", value);
    return value;
  }

  number(key: string, fallback?: number): number {
    const value = this.has(key) ? this.#values[key] : fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) this.#fail(key, "a number", value);
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.has(key) ? this.#values[key] : fallback;
    if (typeof value !== "boolean") this.#fail(key, "true or false", value);
    return value;
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback?: T): T {
    const value = this.has(key) ? this.#values[key] : fallback;
    const match = choices.find((choice) => choice === value);
    return match ?? this.#fail(key, `one of ${choices.join(", ")}`, value);
  }

  section(key: string): ConfigFile {
    const value = this.has(key) ? this.#values[key] : {};
    if (typeof value !== "object" || Array.isArray(value)) this.#fail(key, "an object", value);
    return new ConfigFile(value as Record<string, unknown>, `${this.#origin}: ${key}`);
  }

  refuse(key: string, reason: string): never {
    throw new CheckpointError(`${this.#origin}: ${key} is not supported`, {
      expected: reason,
      got: JSON.stringify(this.#values[key]),
    });
  }

  /** Throws CheckpointError where the sizes cannot belong to one model. */
  checkSizes({ numHeads, numKvHeads, headSize, width, positions }: Architecture): void {
    if (!Number.isInteger(headSize) || headSize < 1) {
      throw new CheckpointError(`${this.#origin}: hidden_size is no multiple of the heads`, {
        expected: `a multiple of ${numHeads}`,
        got: String(width),
      });
    }
    if (positions.kind === "rope" && headSize % 2 !== 0) {
      throw new CheckpointError(`${this.#origin}: rotary positions turn pairs of channels`, {
        expected: "an even head size",
        got: String(headSize),
      });
    }
    if (numKvHeads < 1 || numHeads % numKvHeads !== 0) {
      throw new CheckpointError(`${this.#origin}: num_key_value_heads does not divide the heads`, {
        expected: `a divisor of ${numHeads}`,
        got: String(numKvHeads),
      });
    }
  }

  #fail(key: string, expected: string, value: unknown): never {
    throw new CheckpointError(`${this.#origin}: ${key}`, {
      expected,
      got: value === undefined ? "nothing" : JSON.stringify(value),
    });
  }
}
