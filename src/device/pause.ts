/** Waiting that an abort ends early. */
import type { Clock } from "../base/clock.ts";

/** Resolves after `durationMs`, or at once when the signal is aborted; the caller looks at the signal. */
export function pause(clock: Clock, durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(signal.aborted ? 0 : durationMs, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
