/** The set that a device may choose from, and positions in it that keep their meaning while the schedule moves on. */
import type { DeviceView } from "./controller.ts";

/** The sparsity at `position` in [0, 1] of the device's corridor: 0 prunes least. */
export function sparsityAt(view: DeviceView, position: number): number {
  const { minSparsity, maxSparsity } = view;
  // Rounding must not carry the choice over the edge of the corridor.
  return Math.min(maxSparsity, minSparsity + position * (maxSparsity - minSparsity));
}

/** Where a sparsity lies in the device's corridor; 0 when the corridor leaves no choice. */
export function positionOf(view: DeviceView, sparsity: number): number {
  const width = view.maxSparsity - view.minSparsity;
  return width > 0 ? Math.min(1, Math.max(0, (sparsity - view.minSparsity) / width)) : 0;
}

/** The sparsity of the corridor that is nearest to the wanted one. */
export function nearestSparsity(view: DeviceView, wanted: number): number {
  return Math.min(view.maxSparsity, Math.max(view.minSparsity, wanted));
}

/** The largest rank that is not above the wanted one, or the smallest that fits at all. */
export function nearestRank(view: DeviceView, wanted: number): number {
  const [smallest = 1] = view.ranks;
  return view.ranks.findLast((rank) => rank <= wanted) ?? smallest;
}

/** The rank at `position` in [0, 1) of the device's list of ranks. */
export function rankAt(view: DeviceView, position: number): number {
  const index = Math.min(view.ranks.length - 1, Math.floor(position * view.ranks.length));
  return view.ranks[index] ?? 1;
}
