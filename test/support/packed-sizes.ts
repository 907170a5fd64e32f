/** Offsets of packed sequences for the tests of kernels. */
import type { BufferSpec } from "./kernel-suite.ts";

/** Rows where sequences of the given lengths begin, and where the last one ends. */
export function offsetsOf(lengths: readonly number[]): number[] {
  const offsets = [0];
  for (const length of lengths) offsets.push((offsets.at(-1) as number) + length);
  return offsets;
}

export function offsetsSpec(lengths: readonly number[]): BufferSpec {
  const offsets = offsetsOf(lengths);
  return {
    role: "in",
    type: "i32",
    length: offsets.length,
    fill: (_, i) => offsets[i] as number,
  };
}
