/** The guard: examples that a device never trains on, and what their loss says about pruning further. */
import { Rng } from "../../base/rng.ts";

export interface GuardState {
  /** Held-out loss right before the last pruning; null before the first. */
  readonly lossBeforePruning: number | null;
  /** Whether pruning was put off in the round before. */
  readonly hasSkipped: boolean;
}

export const freshGuard: GuardState = { lossBeforePruning: null, hasSkipped: false };

const HELD_OUT_SHARE = 0.1;
const MOST_HELD_OUT = 64;
const FEWEST_HELD_OUT = 4;

/**
 * Splits a device's examples: a tenth is held out, at least 4 and at most 64, and nothing where those 4 would be more
 * than a fifth. The choice is the device's own and the same in every round; both parts keep their order.
 */
export function splitHeldOut<T>(
  items: readonly T[],
  deviceId: string,
): { readonly training: readonly T[]; readonly heldOut: readonly T[] } {
  const share = Math.round(HELD_OUT_SHARE * items.length);
  const count = Math.min(MOST_HELD_OUT, Math.max(FEWEST_HELD_OUT, share));
  if (5 * count > items.length) return { training: items, heldOut: [] };
  const rng = Rng.fromSeed(`${deviceId}/held out`);
  const order = rng.shuffle(items.map((_, i) => i));
  const chosen = new Set(order.slice(0, count));
  return {
    training: items.filter((_, i) => !chosen.has(i)),
    heldOut: items.filter((_, i) => chosen.has(i)),
  };
}

/**
 * Whether to prune now: unless the loss has risen by more than the share `guard` since before the last pruning, and
 * never put off twice in a row. A device without held-out examples (null) or a plan without a guard (null) always does.
 */
export function mayPrune(
  { lossBeforePruning, hasSkipped }: GuardState,
  heldOutLoss: number | null,
  guard: number | null,
): boolean {
  if (guard === null || heldOutLoss === null || lossBeforePruning === null) return true;
  // A loss that is not a number has risen, too.
  return hasSkipped || heldOutLoss <= (1 + guard) * lossBeforePruning;
}
