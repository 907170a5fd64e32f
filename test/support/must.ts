/** For values that a test relies on being there. */
import { AssertionError } from "node:assert";

/** The value itself; fails when there is none. */
export function must<T>(value: T | null | undefined, what = "the value"): T {
  if (value !== null && value !== undefined) return value;
  throw new AssertionError({ message: `${what} is missing` });
}
