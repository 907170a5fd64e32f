/** Options that several commands share, and the checks that turn text into values. */
import { InvalidArgumentError, Option } from "commander";
import type { ThreadChoice } from "../backend/threads/load.ts";
import { baseDtypes } from "../base/base-dtype.ts";
import type { KernelVariant } from "../backend/wasm.ts";

/** Parses a whole number from `least` up. */
export function integer(least: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`expected a whole number from ${least}, got ${text}`);
    }
    return value;
  };
}

/** Parses a number in [least, most]. */
export function number(least: number, most = Infinity): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (!(Number.isFinite(value) && value >= least && value <= most)) {
      const range = most === Infinity ? `from ${least}` : `from ${least} to ${most}`;
      throw new InvalidArgumentError(`expected a number ${range}, got ${text}`);
    }
    return value;
  };
}

/** Parses "on" or "off". */
export function onOff(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new InvalidArgumentError(`expected on or off, got ${text}`);
}

/** Parses a positive number, or "off" as a bound that nothing reaches. */
export function numberOrOff(text: string): number {
  // Commander takes null for a missing value and puts an empty text in its place.
  if (text === "off") return Infinity;
  const value = number(0)(text);
  if (value > 0) return value;
  throw new InvalidArgumentError(`expected a positive number or off, got ${text}`);
}

/** Parses "1,2,3" into whole numbers. */
export function integerList(text: string): number[] {
  return text.split(",").map(integer(0));
}

/** --structure: what to leave of the model. */
export function structureOption(): Option {
  return new Option(
    "--structure <file>",
    'units to keep, as {"layers":[{"heads":[0],"ffn":[2,5]},…]} (default: what the adapter was pruned to)',
  );
}

export type KernelChoice = Extract<KernelVariant, "simd" | "relaxed" | "reference"> | "auto";

/** --kernels: which kernel module runs. */
export function kernelsOption(fallback: KernelChoice = "simd"): Option {
  return new Option(
    "--kernels <module>",
    "simd: the same bits on every CPU; relaxed: fused multiply-add, faster; auto: relaxed where it runs",
  )
    .choices(["simd", "relaxed", "auto", "reference"])
    .default(fallback);
}

/** --base-dtype: what the frozen base is held in. */
export function baseDtypeOption(): Option {
  return new Option(
    "--base-dtype <format>",
    "numbers that the frozen base is held in: int8 takes a quarter of f32's memory, int4 a seventh",
  )
    .choices(baseDtypes)
    .default("f32");
}

/** --threads: how many threads compute. */
export function threadsOption(fallback: ThreadChoice): Option {
  return new Option(
    "--threads <n>",
    "threads to compute on, or auto for one per core; the same results for any number",
  )
    .argParser((text): ThreadChoice => (text === "auto" ? text : integer(1)(text)))
    .default(fallback);
}
