/** Comparison of float32 results with reference values. */
import assert from "node:assert/strict";

/**
 * Fails unless every value lies within `tolerance` times `scale` of the wanted one; `scale` is the
 * largest wanted magnitude unless given.
 */
export function assertAllClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number,
  what: string,
  scale = largest(want),
): void {
  assert.equal(got.length, want.length, `${what}: length`);
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs((got[i] as number) - (want[i] as number));
    if (difference <= tolerance * scale) continue;
    assert.fail(
      `${what}: element ${i} is ${got[i]}, wanted ${want[i]} within ${tolerance * scale}`,
    );
  }
}

/** The largest magnitude. */
export function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Euclidean length in double precision. */
export function norm(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));
}
