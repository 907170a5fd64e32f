/** Waiting for something that another process or a timer brings about. */
import { setTimeout as pause } from "node:timers/promises";
import { AssertionError } from "node:assert";

/** Polls until `condition` holds; fails after `timeoutMs` with what was waited for. */
export async function eventually(
  what: string,
  condition: () => boolean,
  timeoutMs = 5000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) {
      throw new AssertionError({ message: `not within ${timeoutMs} ms: ${what}` });
    }
    await pause(5);
  }
}
